//! Where people read the results: tests/bench/measurements, and an excerpt in the README.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Document;

const FOLDER: &str = "tests/bench/measurements";
const README: &str = "README.md";

/// Lines of the README that the excerpt lies between.
const BEGIN: &str = "<!-- measurements: written by `cargo xtask bench --publish` -->\n";
const END: &str = "<!-- end of measurements -->\n";

impl Document {
    /// Writes them into the workspace.
    ///
    /// # Errors
    /// When a file can't be written, or the README has no place for the excerpt.
    pub fn publish(&self, workspace: &Path) -> Result<()> {
        self.write(&workspace.join(FOLDER))?;
        let path = workspace.join(README);
        let readme = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let readme = replace(&readme, &self.excerpt())
            .with_context(|| format!("{} lacks the lines\n{BEGIN}{END}", path.display()))?;
        fs::write(&path, readme).with_context(|| format!("writing {}", path.display()))
    }

    fn excerpt(&self) -> String {
        let tables = self.sections.iter().filter_map(|section| section.excerpt(FOLDER));
        format!("{}\n\n{}\n", self.environment.sentence(), tables.collect::<Vec<_>>().join("\n"))
    }
}

/// What is between the two lines. `None`: they are not there.
fn replace(readme: &str, excerpt: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, excerpt, END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Cell, Environment, Excerpt, Plot, Scale, Section};

    #[test]
    fn only_the_excerpt_is_replaced() {
        let readme = format!("before\n{BEGIN}old\n{END}after\n");
        let replaced = replace(&readme, "new\n").unwrap();
        assert_eq!(replaced, format!("before\n{BEGIN}new\n{END}after\n"));
        assert_eq!(replace("before\nafter\n", "new\n"), None);
    }

    #[test]
    fn a_run_is_published_with_its_plots() {
        let workspace = tempfile::tempdir().unwrap();
        let readme = workspace.path().join(README);
        fs::write(&readme, format!("# Us\n{BEGIN}{END}")).unwrap();
        let mut document = Document::new(Environment::here(false));
        let mut section = Section::new("costs", "Costs", &["packet", "ns"]);
        section.row("data", vec![Cell::Number(5.0)]);
        let mut plot = Plot::new("growth", "Growth", ("doors", Scale::Linear), ("ns", Scale::Linear));
        plot.line("ours", vec![(0.0, 1.0), (1.0, 2.0)]);
        section.plots.push(plot);
        section.excerpt = Some(Excerpt { rows: vec!["data".into()], columns: vec![0, 1] });
        document.sections.push(section);
        document.publish(workspace.path()).unwrap();
        let readme = fs::read_to_string(readme).unwrap();
        assert!(
            readme.contains("| data   |  5 |") && readme.contains("tests/bench/measurements/growth.svg"),
            "{readme}"
        );
        let results = fs::read(workspace.path().join(FOLDER).join("results.json")).unwrap();
        let results: serde_json::Value = serde_json::from_slice(&results).unwrap();
        assert_eq!(results["version"], 1);
        assert_eq!(results["sections"][0]["rows"][0]["cells"][0]["number"], 5.0);
        assert!(workspace.path().join(FOLDER).join("growth.svg").exists());
    }

    #[test]
    fn the_readme_has_its_place() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let readme = fs::read_to_string(workspace.join(README)).unwrap();
        assert!(replace(&readme, "").is_some());
    }
}
