//! The page about the model names all that there is.

use protocol_model::fault_table::FAULTS;
use protocol_model::scopes;

#[test]
fn the_page_has_every_scope_and_every_switch() {
    let page = include_str!("../../docs/model.md");
    for scope in scopes::default().iter().chain(&scopes::deeper()) {
        let row = format!("| `{}` |", scope.name);
        assert!(page.contains(&row), "docs/model.md has no row for the scope {}", scope.name);
    }
    for entry in FAULTS {
        let row = format!("| {} | `{}` | `{}` |", entry.rule, entry.fault, entry.scope);
        assert!(page.contains(&row), "docs/model.md lacks the row\n{row}");
    }
}
