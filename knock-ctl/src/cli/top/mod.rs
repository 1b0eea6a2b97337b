//! `top`: a live view.

mod draw;
mod view;

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use log::LevelFilter;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::door_or_port::Doors;
use super::filter::Filter;
use super::grants::valid_grants;
use crate::clock::boottime;
use crate::controller;
use crate::datapath::filtered_interfaces;
use crate::runtime::{RuntimeDirectory, running_controller};
use view::{DoorCount, Snapshot, View};

/// How often the tables are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a key, a signal or an event may wait.
const PATIENCE: Duration = Duration::from_millis(200);

/// Shows live what passes and what is dropped, who knocks and who is in; q quits
#[derive(Args, Debug)]
pub struct TopArguments {}

pub(super) fn run(_: &TopArguments) -> Result<ExitCode> {
    if !stdout().is_terminal() {
        bail!(
            "`knock-ctl top` draws on a terminal, and its output is none; `knock-ctl status` and `knock-ctl events` print"
        );
    }
    // Without the right to look there is nothing to draw.
    Filter::open_if_attached("top")?;
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ended)).context("cannot wait for signals")?;
    }
    let events = follow(RuntimeDirectory::of_this_namespace()?);
    // What it would say stands in the view, and would spoil it.
    log::set_max_level(LevelFilter::Off);
    let mut screen = Screen::take()?;
    watch(&mut screen.0, &events, &ended)?;
    Ok(ExitCode::SUCCESS)
}

/// The terminal, given back as it was however this ends; a panic gives it back by itself.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> Result<Self> {
        // It may have come half of the way.
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore());
        terminal.map(Self).context("cannot draw on this terminal")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn watch(terminal: &mut DefaultTerminal, events: &Receiver<String>, ended: &AtomicBool) -> Result<()> {
    let mut view = View::default();
    let mut next_look = Instant::now();
    while !ended.load(Ordering::SeqCst) {
        if Instant::now() >= next_look {
            view.look(look().map_err(|error| format!("{error:#}")));
            next_look = Instant::now() + LOOK;
        }
        events.try_iter().for_each(|line| view.note(&line));
        terminal.draw(|frame| draw::draw(frame, &view)).context("cannot draw on this terminal")?;
        if event::poll(PATIENCE).context("cannot read from this terminal")? && is_end(&event::read()?) {
            break;
        }
    }
    Ok(())
}

fn is_end(event: &Event) -> bool {
    let Some(key) = event.as_key_press_event() else { return false };
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}

/// Opened anew each time: the filter may come and go, and its rules may change.
fn look() -> Result<Snapshot> {
    let Filter { pins, maps, directory, state } = Filter::open("top")?;
    let now = boottime();
    let counters = maps.counters()?;
    let doors = state.iter().flat_map(|state| &state.doors).map(|door| DoorCount {
        name: door.name.clone(),
        steps: door.steps,
        opened: maps.openings(door.id),
    });
    let interfaces = filtered_interfaces(&pins);
    let names = Doors::new(state.as_ref());
    Ok(Snapshot {
        milliseconds: now.milliseconds(),
        interfaces: interfaces.into_iter().map(|found| format!("{} ({})", found.name, found.mode)).collect(),
        controller: running_controller(&directory),
        reasons: counters.into_iter().collect(),
        doors: doors.collect(),
        grants: valid_grants(&maps.all_grants()?, &names, now, |key| maps.connections(key)),
    })
}

/// What the controller tells of, as long as one runs, and again once another does.
fn follow(directory: RuntimeDirectory) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut is_read = true;
        while is_read {
            let followed = controller::follow_events(&directory, |line| {
                is_read = sender.send(line.to_owned()).is_ok();
                is_read
            });
            if followed.is_err() || is_read {
                thread::sleep(LOOK);
            }
        }
    });
    receiver
}
