//! What fuzzers run of this crate (`fuzz/`), and its tests in small: whatever a guest or a user may write.

use crate::migration::State;
use crate::passthrough::{IdRule, XattrMap};

pub use crate::dax::testing::fuzz::run as window;
pub use crate::transport::fuzzing::{descriptors, ring};

/// Reads `input` as the rules of `--xattrmap`, a NUL, and names with a NUL behind each.
///
/// # Panics
/// Where a mapped name does not begin with what a rule puts before it.
pub fn xattrmap(input: &[u8]) {
    let (rules, names) = input.split_at(input.iter().position(|b| *b == 0).unwrap_or(input.len()));
    let Ok(map) = String::from_utf8_lossy(rules).parse::<XattrMap>() else { return };
    map.try_out(names.get(1..).unwrap_or_default());
}

/// Reads `input` as the rules of `--translate-uid`, one a line.
///
/// # Panics
/// Where two rules that contradict each other are taken.
pub fn id_maps(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let rules: Vec<IdRule> = text.lines().filter_map(|line| line.parse().ok()).collect();
    crate::passthrough::try_out_ids(&rules);
}

/// Reads `input` as lists of options, as command lines have them.
pub fn options(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let _ = text.parse::<crate::sandbox::IdRange>();
    let _ = text.parse::<crate::sandbox::ModCaps>();
    let _ = text.parse::<crate::transport::Tag>();
}

/// Reads `input` as the state of a guest that another daemon hands over.
///
/// # Panics
/// Where what was read is not what is written of it.
pub fn migration_state(input: &[u8]) {
    if let Ok(state) = State::decode(input) {
        assert_eq!(State::decode(&state.encode()), Ok(state), "another state");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_rules_are_taken_or_refused(
            rules in "(:(map|ok|bad|prefix|unsupported|):(all:|client:|server:|)[a-z.]{0,3}:[a-z.]{0,3}:){0,4}",
            names in "[a-z.]{0,9}",
        ) {
            xattrmap(format!("{rules}\0{names}\0x").as_bytes());
        }

        #[test]
        fn any_ids_are_mapped_or_refused(
            lines in "((guest|host|map|squash-guest|forbid-guest):[0-9]{1,10}(:[0-9]{1,10}){1,2}\n){0,4}",
        ) {
            id_maps(lines.as_bytes());
            options(lines.as_bytes());
        }

        #[test]
        fn any_bytes_are_a_ring(input in proptest::collection::vec(any::<u8>(), 0..600)) {
            descriptors(&input);
            ring(&input);
        }
    }

    #[test]
    fn seeds_of_states_are_read_but_for_two() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/migration_state");
        let mut refused = Vec::new();
        for seed in std::fs::read_dir(seeds).unwrap() {
            let seed = seed.unwrap();
            let input = std::fs::read(seed.path()).unwrap();
            migration_state(&input);
            if State::decode(&input).is_err() {
                refused.push(seed.file_name());
            }
        }
        refused.sort();
        assert_eq!(refused, ["escape", "later"]);
    }

    #[test]
    fn seeds_reach_what_they_are_for() {
        for (name, input) in crate::transport::fuzzing::seeds() {
            descriptors(&input);
            assert!(ring(&input) > 0, "{name}: nothing was served");
        }
    }
}
