//! Modules use one another in one direction: at the top of a crate there is no circle of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read_dir, read_to_string};
use std::path::Path;

use super::markdown::root;

/// The modules that each module names.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The root of a crate, as a module: who names what stands there depends on all that it names.
const ROOT: &str = "lib";

#[test]
fn no_module_leads_back_to_itself() {
    let found = |folder: &Path, start: &str| {
        let arrows = arrows_of(folder, start);
        let found = arrows.values().map(BTreeSet::len).sum::<usize>();
        let circles = circles(arrows);
        assert!(circles.is_empty(), "{folder:?}: {circles:#?}");
        found
    };
    let [gateway, policy] = ["gateway/src", "gateway/policy/src"].map(|folder| root().join(folder));
    assert!([&gateway, &policy].into_iter().all(|folder| found(folder, "crate::") > 20), "they are found");
    let folders = read_dir(&gateway).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let inside = |folder: &Path| format!("crate::{}::", folder.file_name().unwrap().to_string_lossy());
    let with_arrows = folders.filter(|folder| found(folder, &inside(folder)) > 0).count();
    assert!(with_arrows >= 6, "inside each phase of a request too: {with_arrows}");
}

#[test]
fn a_circle_is_found_with_no_more_than_what_belongs_to_it() {
    let modules = ["edge", "listener", "shared", "site", "visit", ROOT].map(str::to_owned).into();
    let sources = [
        ("lib", "mod edge;\npub mod site;\nfn serve() { listener::work(edge::handle) }"),
        ("listener", "use crate::edge;\nuse crate::site::{Site, cookie::Cookie};"),
        ("edge", "//! `crate::shared`\nuse crate::{\n    site::Site,\n    visit::{self, Visit},\n};"),
        ("visit", "pub(crate) fn at(worker: &crate::listener::Worker) -> edge::Edge {}"),
        ("shared", "use crate::TICK;\n#[cfg(test)]\nmod tests { use crate::visit; }"),
    ];
    let named = |(name, text): (&str, &str)| (name.to_owned(), named_in(name, text, &modules, "crate::"));
    let arrows = Arrows::from(sources.map(named));
    assert_eq!(arrows["edge"], ["site", "visit"].map(str::to_owned).into());
    assert_eq!(arrows["shared"], [ROOT.to_owned()].into());
    let circle = circles(arrows);
    let left: Vec<(&str, Vec<&str>)> =
        circle.iter().map(|(name, names)| (&**name, names.iter().map(|n| &**n).collect())).collect();
    assert_eq!(left, [("edge", vec!["visit"]), ("listener", vec!["edge"]), ("visit", vec!["listener"])]);
}

/// What the modules of a folder, whose paths begin with `start`, name of one another, with what is below each of them.
fn arrows_of(folder: &Path, start: &str) -> Arrows {
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    for path in read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // A crate of its own.
        if name != "main" {
            read(&path, sources.entry(name).or_default());
        }
    }
    let modules = sources.keys().cloned().collect();
    sources.iter().map(|(name, text)| (name.clone(), named_in(name, text, &modules, start))).collect()
}

/// Adds the code of a file, or of all files of a folder.
fn read(path: &Path, code: &mut String) {
    if path.is_dir() {
        for entry in read_dir(path).unwrap() {
            read(&entry.unwrap().path(), code);
        }
    } else if path.extension().is_some_and(|kind| kind == "rs") && path.file_stem().unwrap() != "tests" {
        code.push_str(&without_tests_and_comments(&read_to_string(path).unwrap()));
    }
}

fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
}

/// Which of the modules this one names: by paths that begin at the root of the crate; and the root itself, by what it declares.
fn named_in(name: &str, text: &str, modules: &BTreeSet<String>, start: &str) -> BTreeSet<String> {
    let code = without_tests_and_comments(text);
    let is_part = |sign: char| sign.is_alphanumeric() || "_:$".contains(sign);
    let begins_a_path = |at: usize| !code[..at].ends_with(is_part);
    let paths = code.match_indices(start).filter(|(at, _)| begins_a_path(*at));
    let mut named: BTreeSet<String> = paths.flat_map(|(at, start)| first_names(&code[at + start.len()..])).collect();
    if name == ROOT {
        let declared =
            modules.iter().filter(|module| code.match_indices(&format!("{module}::")).any(|(at, _)| begins_a_path(at)));
        named.extend(declared.cloned());
    }
    // What is no module stands in the root.
    let module = |name: String| if modules.contains(&name) { name } else { ROOT.to_owned() };
    named.into_iter().map(module).filter(|module| module != name).collect()
}

/// The first names of the paths that a text begins with: one, or those of a group in braces.
fn first_names(text: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|sign| sign.is_alphanumeric() || *sign == '_').collect::<String>();
    let Some(group) = text.strip_prefix('{') else { return vec![word(text)] };
    let (mut depth, mut begins, mut names) = (1, true, Vec::new());
    for (at, sign) in group.char_indices().filter(|(_, sign)| !sign.is_whitespace()) {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                begins = true;
                continue;
            }
            _ if begins => names.push(word(&group[at..])),
            _ => {}
        }
        begins = false;
        if depth == 0 {
            break;
        }
    }
    names
}

/// The modules that are left when those that name no other, and those that no other names, are taken away until there are none.
fn circles(mut arrows: Arrows) -> Arrows {
    loop {
        let names: BTreeSet<String> = arrows.keys().cloned().collect();
        let named: BTreeSet<String> = arrows.values().flatten().cloned().collect();
        let before: usize = arrows.values().map(BTreeSet::len).sum::<usize>() + arrows.len();
        for to in arrows.values_mut() {
            to.retain(|name| names.contains(name));
        }
        arrows.retain(|name, to| !to.is_empty() && named.contains(name));
        if arrows.values().map(BTreeSet::len).sum::<usize>() + arrows.len() == before {
            return arrows;
        }
    }
}
