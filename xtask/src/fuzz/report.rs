//! What libFuzzer says of a run (<https://llvm.org/docs/LibFuzzer.html#output>).

use std::time::Duration;

/// Of one target.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    target: &'static str,
    time: Duration,
    executions: u64,
    edges: u64,
    features: u64,
    /// Inputs.
    corpus: u64,
    /// The file of the input for which something does not hold.
    pub finding: Option<String>,
}

impl Report {
    /// From what is printed on stderr.
    pub fn read(target: &'static str, log: &str, time: Duration) -> Self {
        let mut report =
            Self { target, time, executions: 0, edges: 0, features: 0, corpus: 0, finding: None };
        for line in log.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let Some(executions) = words.first().and_then(|word| word.strip_prefix('#')).and_then(number) {
                report.executions = executions;
                let behind = |name: &str| {
                    words.windows(2).find(|pair| pair[0] == name).and_then(|pair| number(pair[1]))
                };
                // Not every line has every figure.
                report.edges = behind("cov:").unwrap_or(report.edges);
                report.features = behind("ft:").unwrap_or(report.features);
                report.corpus = behind("corp:").unwrap_or(report.corpus);
            } else if let Some((_, path)) = line.split_once("Test unit written to ") {
                report.finding = Some(path.to_owned());
            }
        }
        report
    }
}

/// Of the digits that it begins with, as in "512/40Kb".
fn number(word: &str) -> Option<u64> {
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    word[..digits].parse().ok()
}

/// A line for each report, below a line of names.
pub fn table(reports: &[Report]) -> String {
    let head = ["target", "minutes", "executions", "a second", "edges", "features", "corpus", "findings"];
    let rows = reports.iter().map(|report| {
        let seconds = report.time.as_secs_f64().max(1.0);
        [
            report.target.to_owned(),
            format!("{:.1}", seconds / 60.0),
            report.executions.to_string(),
            format!("{:.0}", report.executions as f64 / seconds),
            report.edges.to_string(),
            report.features.to_string(),
            report.corpus.to_string(),
            usize::from(report.finding.is_some()).to_string(),
        ]
    });
    let lines: Vec<String> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .map(|[target, figures @ ..]| {
            let figures: String = figures.iter().map(|figure| format!("{figure:>12}")).collect();
            format!("{target:<14}{figures}")
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: Seed: 1\n#2\tINITED cov: 25 ft: 26 corp: 1/1b exec/s: 0 rss: 41Mb\n\
        #40000\tREDUCE cov: 63 ft: 95 corp: 12/3Kb lim: 256 exec/s: 20000 rss: 50Mb L: 3/19 MS: 1 EraseBytes-\n\
        #41234\tDONE   cov: 63 ft: 96 corp: 13/3Kb lim: 256 exec/s: 20617 rss: 50Mb\n";

    #[test]
    fn the_last_figures_count() {
        let report = Report::read("packet", LOG, Duration::from_secs(120));
        let figures = (report.executions, report.edges, report.features, report.corpus);
        assert_eq!((figures, report.finding.as_deref()), ((41_234, 63, 96, 13), None));
        let rows = table(&[report]);
        let words: Vec<&str> = rows.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(words, ["packet", "2.0", "41234", "344", "63", "96", "13", "0"]);
    }

    #[test]
    fn a_finding_is_named_by_its_file() {
        let log =
            format!("{LOG}artifact_prefix='x/'; Test unit written to /tmp/found/crash-1\nBase64: AA==\n");
        let report = Report::read("packet", &log, Duration::from_secs(1));
        assert_eq!(report.finding.as_deref(), Some("/tmp/found/crash-1"));
    }
}
