//! Draws the live view.

use std::time::Duration;

use knock_common::reason::Verdict;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table, Wrap};

use super::super::grants;
use super::view::{Snapshot, View, sum};

pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let [head, middle, events] =
        Layout::vertical([Constraint::Length(2), Constraint::Percentage(60), Constraint::Fill(1)])
            .areas(frame.area());
    draw_head(frame, head, view);
    let [reasons, people] = Layout::horizontal([Constraint::Length(40), Constraint::Fill(1)]).areas(middle);
    draw_reasons(frame, reasons, view);
    if let Some(latest) = view.latest() {
        let [doors, grants] = Layout::vertical([Constraint::Fill(1); 2]).areas(people);
        draw_doors(frame, doors, view, latest);
        draw_grants(frame, grants, latest);
    }
    draw_events(frame, events, view);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let Some(latest) = view.latest() else {
        let trouble = view.trouble().unwrap_or_default().to_owned();
        return frame.render_widget(Paragraph::new(trouble).wrap(Wrap { trim: true }), area);
    };
    let interfaces = match &latest.interfaces[..] {
        [] => "on no interface".to_owned(),
        names => names.join(", "),
    };
    let controller = match latest.controller {
        Some(process) => format!("controller {process}"),
        None => "no controller: doors still open, no command runs".to_owned(),
    };
    let flows = view.flows();
    let ((packets, packets_in_all), (drops, drops_in_all)) =
        (sum(&flows, None), sum(&flows, Some(Verdict::Drop)));
    let lines = [
        format!("{interfaces}; {controller}; q quits"),
        format!("packets: {packets}/s, {packets_in_all} in all; dropped: {drops}/s, {drops_in_all} in all"),
    ];
    frame.render_widget(Paragraph::new(lines.map(Line::from).to_vec()), area);
}

fn draw_reasons(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let rows = view.flows().into_iter().map(|flow| {
        let style = match flow.reason.verdict() {
            Verdict::Pass => Style::new(),
            Verdict::Drop => Style::new().fg(Color::Red),
        };
        Row::new([flow.reason.name().to_owned(), flow.per_second.to_string(), flow.in_all.to_string()])
            .style(style)
    });
    let widths = [Constraint::Length(15), Constraint::Length(9), Constraint::Fill(1)];
    draw_table(frame, area, "Reasons", ["REASON", "A SECOND", "IN ALL"], rows, widths);
}

fn draw_doors(frame: &mut Frame<'_>, area: Rect, view: &View, latest: &Snapshot) {
    let rows = latest.doors.iter().map(|door| {
        let steps = match view.steps(&door.name) {
            Some(steps) => {
                let counts =
                    (1..=door.steps).map(|step| steps.get(step - 1).copied().unwrap_or(0).to_string());
                counts.collect::<Vec<_>>().join(" > ")
            }
            None => "-".to_owned(),
        };
        Row::new([door.name.clone(), steps, door.opened.to_string()])
    });
    let widths = [Constraint::Length(16), Constraint::Fill(1), Constraint::Length(9)];
    let title = "Doors (steps seen with log.stages)";
    draw_table(frame, area, title, ["DOOR", "STEPS TAKEN", "OPENED"], rows, widths);
}

fn draw_grants(frame: &mut Frame<'_>, area: Rect, latest: &Snapshot) {
    let rows = latest.grants.iter().map(|grant| {
        let door = grant.door.clone().unwrap_or_else(|| grant.opens.join(", "));
        let left = grants::in_words(grant.expires_in_ms.map(Duration::from_millis));
        Row::new([grant.address.to_string(), door, left])
    });
    let widths = [Constraint::Fill(2), Constraint::Length(16), Constraint::Fill(1)];
    let title = format!("In: {}", latest.grants.len());
    draw_table(frame, area, &title, ["ADDRESS", "DOOR", "HOLDS"], rows, widths);
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let lines: Vec<Line<'_>> = view.events().take(area.height.into()).map(Line::from).collect();
    let block = Block::new().borders(Borders::TOP).title("Events, the newest first");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_table<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    header: [&'static str; 3],
    rows: impl Iterator<Item = Row<'a>>,
    widths: [Constraint; 3],
) {
    let header = Row::new(header).style(Style::new().add_modifier(Modifier::BOLD));
    // What does not fit is not seen, and need not be made.
    let rows = rows.take(area.height.into());
    let block = Block::new().borders(Borders::TOP).title(title);
    frame.render_widget(Table::new(rows, widths).header(header).block(block), area);
}

#[cfg(test)]
mod tests {
    use knock_common::reason::Reason;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::view::tests::snapshot;
    use super::*;

    /// The screen's lines, without what is blank at their ends.
    fn drawn(view: &View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |row| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>();
        (0..height).map(|row| line(row).trim_end().to_owned()).collect()
    }

    fn view() -> View {
        let mut view = View::default();
        view.look(Ok(snapshot(10_000, &[(Reason::Public, 1000), (Reason::NoGrant, 50)])));
        view.look(Ok(snapshot(11_000, &[(Reason::Public, 1010), (Reason::NoGrant, 150)])));
        for stage in [1, 1, 2] {
            view.note(&format!(
                "{{\"time\":\"2026-11-21T06:37:00.000Z\",\"event\":\"stage\",\"door\":\"ssh\",\"stage\":{stage}}}"
            ));
        }
        view
    }

    #[test]
    fn everything_has_its_place() {
        let expected = "\
eth0 (native); controller 812; q quits
packets: 110/s, 1160 in all; dropped: 100/s, 150 in all
Reasons─────────────────────────────────Doors (steps seen with log.stages)──────────────────────────
REASON          A SECOND  IN ALL        DOOR             STEPS TAKEN                       OPENED
no_grant        100       150           ssh              2 > 1 > 0                         4
public          10        1010          gate             -                                 0

In: 1───────────────────────────────────────────────────────
ADDRESS                      DOOR             HOLDS
192.0.2.7                    ssh              for 29s

Events, the newest first────────────────────────────────────────────────────────────────────────────
2026-11-21T06:37:00.000Z  stage  ssh  stage: 2
2026-11-21T06:37:00.000Z  stage  ssh  stage: 1
2026-11-21T06:37:00.000Z  stage  ssh  stage: 1
";
        let lines = drawn(&view(), 100, 20);
        let mut text: Vec<&str> = lines.iter().map(|line| line.trim_start()).collect();
        // How high the parts are is of no interest.
        text.dedup_by(|line, before| line.is_empty() && before.is_empty());
        assert_eq!(text.join("\n"), expected);
    }

    #[test]
    fn what_is_wrong_stands_where_the_rest_would() {
        let mut view = view();
        view.look(Err("the filter is not attached".to_owned()));
        let lines = drawn(&view, 100, 20);
        assert_eq!(lines[0], "the filter is not attached");
        assert!(lines.iter().any(|line| line.starts_with("2026-11-21T06:37:00.000Z")));
    }

    #[test]
    fn no_screen_is_too_small() {
        for (width, height) in [(0, 0), (1, 1), (10, 3), (300, 2), (2, 100)] {
            drawn(&view(), width, height);
        }
    }
}
