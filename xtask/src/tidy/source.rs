//! Just enough of Rust's and Cargo's syntax to see what a file names.

/// The code of a Rust file, line by line, without comments and the contents of simple strings.
pub(crate) fn code(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    text.lines().enumerate().map(|(number, line)| (number + 1, strip(line)))
}

/// Whether the line names this crate, module or word.
pub(crate) fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let outside = |c: char| !c.is_alphanumeric() && c != '_';
        line[..at].chars().next_back().is_none_or(outside)
            && line[at + word.len()..].chars().next().is_none_or(outside)
    })
}

/// The names of a manifest's dependencies; those for tests and builds only are left out.
pub(crate) fn dependencies(manifest: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            let is_list = section == "dependencies" || section.ends_with(".dependencies");
            inside = is_list && section != "workspace.dependencies";
            found.extend(section.strip_prefix("dependencies."));
        } else if inside && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            found.extend((!name.is_empty()).then_some(name));
        }
    }
    found
}

fn strip(line: &str) -> String {
    let mut kept = String::new();
    let mut characters = line.chars().peekable();
    let mut in_string = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if in_string => drop(characters.next()),
            // A character literal of a quotation mark does not open a string.
            '\'' if characters.peek() == Some(&'"') => drop(characters.next()),
            '"' => in_string = !in_string,
            '/' if !in_string && characters.peek() == Some(&'/') => break,
            _ if in_string => {}
            _ => kept.push(character),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let line = r#"let a = "word \" word"; f('"', x); // word"#;
        assert!(!names(&strip(line), "word"), "{}", strip(line));
        assert!(names(&strip("x(); word { y(\"//\") }"), "word"));
    }

    #[test]
    fn only_whole_words_count() {
        assert!(names("use vhost::vring;", "vhost"));
        assert!(!names("use vhost_user::x; my_vhost();", "vhost"));
    }

    #[test]
    fn dependencies_are_listed_without_those_of_tests() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\n# b = 1\n\
                        c = { version = \"1\" }\n[target.'cfg(loom)'.dependencies]\nloom = \"1\"\n\
                        [dependencies.d]\nversion = \"1\"\n[dev-dependencies]\ne = \"1\"\n";
        assert_eq!(dependencies(manifest), ["a", "c", "loom", "d"]);
    }
}
