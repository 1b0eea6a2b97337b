//! Whether somebody who knows the secret gets in while forged first knocks pour in.

mod visitors;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use knock_tests::lab::{Flood, Forgery, Lab, Machine};

use crate::defence::{Defence, Kind, SEQUENCE, SPA_PORT, SSH, Usage};
use crate::effort::Effort;
use crate::report::{Cell, Excerpt, Plot, Scale, Section};
use crate::sample::Sample;

use visitors::{Knocking, Visitors};

const COLUMNS: [&str; 10] = [
    "honest knocks, while so many are forged",
    "reached",
    "opened, 20 ms apart",
    "ms to accept",
    "worst",
    "opened, 500 ms apart",
    "ms to accept",
    "daemon's CPU, %",
    "its peak memory so far, MiB",
    "its log, KiB/s",
];
const KINDS: [Kind; 6] = [Kind::Nothing, Kind::KnockCtl, Kind::Knockd, Kind::Nft, Kind::Recent, Kind::Fwknop];
const FAST: Duration = Duration::from_millis(20);
const SLOW: Duration = Duration::from_millis(500);
/// The lab's, over IPv4.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// How long visitors try to connect; where nobody attacks, a slow machine is waited for.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Before the first visitor comes, so that tables have filled.
const LEAD: Duration = Duration::from_secs(3);

/// What is forged; each packet comes from another address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forged {
    FirstKnock,
    /// The first and then the second, from the same address.
    TwoKnocks,
    /// Datagrams of the form that fwknopd looks at.
    Spa,
}

impl Forged {
    fn forgery(self) -> Forgery {
        let to = SERVER;
        match self {
            Self::FirstKnock => Forgery::Syns { to, ports: SEQUENCE[..1].to_vec() },
            Self::TwoKnocks => Forgery::Syns { to, ports: SEQUENCE[..2].to_vec() },
            // As long as one that asks for a port, in the letters of base 64.
            Self::Spa => Forgery::Datagrams { to, port: SPA_PORT, payload: vec![b'A'; 225] },
        }
    }
}

/// # Errors
/// When a lab can't be made.
pub fn measure(effort: Effort) -> Result<Section> {
    let mut section = Section::new("attack", "Honest knocks under attack", &COLUMNS);
    let mut plot = Plot::new(
        "attack",
        "Doors opened by who knows the sequence, knocks 20 ms apart, in %",
        ("forged first knocks a second", Scale::Logarithmic),
        ("%", Scale::Linear),
    );
    for kind in KINDS {
        match against(kind, effort, &mut section) {
            Ok(points) => plot.line(kind.name(), points),
            Err(error) => section.row(kind.name(), vec![Cell::Failed(format!("{error:#}"))]),
        }
    }
    section.plots.push(plot);
    let rows = KINDS.into_iter().flat_map(|kind| {
        let first = first(kind);
        let attacks = [(first, 100_000), (first, 1_000_000), (Forged::TwoKnocks, 1_000_000)];
        [None].into_iter().chain(attacks.map(Some)).map(move |attack| name(kind, attack))
    });
    section.excerpt = Some(Excerpt { rows: rows.collect(), columns: vec![0, 1, 2, 3, 5, 6, 7, 8] });
    section.note("Forged SYNs from addresses that are others each time come to the first knock port, or by turns to the first two, through a veth pair: up to 100,000 a second from a packet socket, more as frames that the kernel injects (live frames), both evenly. For fwknopd they are datagrams of its packets' form.");
    section.note("Visitors come one after the other, each from an address of its own, and knock by single frames, which nobody sends again; then they send SYNs, for 50 ms each millisecond, until one is answered. A fwknop client sends its one packet instead.");
    section.note("Everything else is closed: policy drop, each defence as its documentation has it, its limits left as they are.");
    section.note("`reached` are the forged packets a second that there were beside all else on this machine. CPU includes commands that the daemon ran. Memory is the most that one daemon has had resident up to that row, by which all rows go; that of knock-ctl counts the tables it maps.");
    Ok(section)
}

/// The share of doors opened for each rate, in percent.
fn against(kind: Kind, effort: Effort, section: &mut Section) -> Result<Vec<(f64, f64)>> {
    let lab = Lab::new()?;
    let _service = serve(&lab)?;
    let mut visitors = Visitors::new(&lab)?;
    let defence = Defence::start(kind, &lab)?;
    let mut attacks = vec![None];
    let rates = effort.choose(&[1_000_000][..], &[1000, 10_000, 100_000, 1_000_000]);
    let first = first(kind);
    attacks.extend(rates.iter().map(|&rate| Some((first, rate))));
    if effort == Effort::Full && !matches!(kind, Kind::Fwknop | Kind::Nothing) {
        attacks.extend([100_000, 1_000_000].map(|rate| Some((Forged::TwoKnocks, rate))));
    }
    let mut points = Vec::new();
    for attack in attacks {
        let name = name(kind, attack);
        let outcome = under(&lab, &defence, &mut visitors, attack, effort);
        let mut cells = outcome.unwrap_or_else(|error| vec![Cell::Failed(format!("{error:#}"))]);
        if let (None, Some(Cell::Share(opened, of))) = (attack, cells.get(1).cloned())
            && opened < of
        {
            cells[1] = Cell::Failed(format!("nobody attacks, and it opened for {opened} of {of}"));
        }
        if let (Some((forged, rate)), Some(share)) = (attack, cells.get(1).and_then(Cell::value))
            && forged == first
        {
            points.push((f64::from(rate), share * 100.0));
        }
        section.row(name, cells);
    }
    Ok(points)
}

/// What is forged to begin with.
fn first(kind: Kind) -> Forged {
    if kind == Kind::Fwknop { Forged::Spa } else { Forged::FirstKnock }
}

fn name(kind: Kind, attack: Option<(Forged, u32)>) -> String {
    let Some((forged, rate)) = attack else { return kind.name().to_owned() };
    let known = if forged == Forged::TwoKnocks { ", two knocks known" } else { "" };
    format!("{}{known}, {} a second", kind.name(), Cell::Number(f64::from(rate)))
}

/// All cells of a row.
fn under(
    lab: &Lab,
    defence: &Defence,
    visitors: &mut Visitors,
    attack: Option<(Forged, u32)>,
    effort: Effort,
) -> Result<Vec<Cell>> {
    let tries = effort.choose(3, 10);
    let (before, begun) = (defence.usage()?, Instant::now());
    let attack = attack.map(|(forged, rate)| Flood::forge(lab, forged.forgery(), rate)).transpose()?;
    if attack.is_some() {
        sleep(effort.choose(LEAD / 3, LEAD));
    }
    let patience = if attack.is_some() { PATIENCE } else { 4 * PATIENCE };
    let fast = visitors.visit(lab, knocking(defence, FAST), tries, patience)?;
    let slow = match knocking(defence, SLOW) {
        slow @ Knocking::Ports(_) if effort == Effort::Full => {
            Some(visitors.visit(lab, slow, tries, patience)?)
        }
        _ => None,
    };
    let rate = attack.map_or(Ok(0.0), Flood::end)?;
    let (after, elapsed) = (defence.usage()?, begun.elapsed().as_secs_f64());
    let mut cells = vec![Cell::Number(rate.round())];
    cells.extend(opened(&fast));
    cells.push(worst(&fast));
    cells.extend(slow.map_or([Cell::Nothing, Cell::Nothing], |slow| opened(&slow)));
    cells.extend(used(before.zip(after), elapsed));
    Ok(cells)
}

fn knocking(defence: &Defence, pause: Duration) -> Knocking<'_> {
    match (defence.kind(), defence.spa()) {
        (Kind::Nothing, _) => Knocking::None,
        (_, Some(spa)) => Knocking::Spa(spa),
        (_, None) => Knocking::Ports(pause),
    }
}

/// How many were let in, and after how long.
fn opened(visits: &[Option<f64>]) -> [Cell; 2] {
    let accepted: Vec<f64> = visits.iter().copied().flatten().collect();
    [Cell::Share(accepted.len(), visits.len()), Sample::of(&accepted).map_or(Cell::Nothing, Cell::Sample)]
}

fn worst(visits: &[Option<f64>]) -> Cell {
    visits.iter().copied().flatten().reduce(f64::max).map_or(Cell::Nothing, Cell::Number)
}

/// Percent of a CPU, MiB, KiB a second.
fn used(usage: Option<(Usage, Usage)>, seconds: f64) -> [Cell; 3] {
    let Some((before, after)) = usage else { return [Cell::Nothing, Cell::Nothing, Cell::Nothing] };
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() / seconds * 100.0;
    let log = after.log_bytes.saturating_sub(before.log_bytes) as f64 / 1024.0 / seconds;
    [cpu, after.resident_bytes as f64 / 1_048_576.0, log].map(Cell::Number)
}

/// The kernel itself answers SYNs; nobody sends more than these.
fn serve(lab: &Lab) -> Result<TcpListener> {
    Ok(lab.enter(Machine::Server, || TcpListener::bind(SocketAddr::new(SERVER.into(), SSH)))??)
}
