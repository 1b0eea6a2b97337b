//! Takes the configuration anew, while the filter and everything it knows stay.

use std::time::Duration;

use anyhow::{Error, Result};
use knock_common::grant::Granted;

use super::bring_up::{refuse_to_close_for_others, remember};
use super::in_force::Prepared;
use super::interface_changes::InterfaceChanges;
use super::notice::Notice;
use super::socket::{ReloadOptions, Reply, Report};
use super::waiting::{self, Before, Change, in_seconds};
use super::watch::Watch;
use super::{changes, connections, interfaces, lockout, service_manager};
use crate::clock::boottime;
use crate::config::ConfigErrors;
use crate::datapath::Unconfirmed;
use crate::logging::{self, Outputs};

/// Why the configuration is not taken. Nothing is changed then.
enum Refusal {
    /// It is wrong.
    Rejected(ConfigErrors),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Watch {
    /// Answers a request.
    pub(super) fn reload(&mut self, options: &ReloadOptions) -> Reply {
        if !options.dry_run {
            // Also where the files are bad: whoever rotates logs asks no more than this.
            logging::reopen();
            service_manager::reloading();
        }
        let taken = self.take_anew(options);
        if !options.dry_run {
            self.ready();
        }
        match taken {
            Ok(report) => Reply::Done(report),
            Err(Refusal::Rejected(errors)) => {
                let errors: Vec<String> = errors.diagnostics().iter().map(ToString::to_string).collect();
                self.report_rejection(options, &errors);
                Reply::Rejected(errors)
            }
            Err(Refusal::Failed(error)) => {
                let reason = format!("{error:#}");
                self.report_rejection(options, std::slice::from_ref(&reason));
                Reply::Failed(reason)
            }
        }
    }

    /// As SIGHUP asks for it.
    pub(super) fn reload_by_signal(&mut self) {
        if let Reply::Done(report) = self.reload(&ReloadOptions::default()) {
            for warning in report.warnings {
                log::warn!("{warning}");
            }
        }
    }

    fn report_rejection(&self, options: &ReloadOptions, errors: &[String]) {
        if options.dry_run {
            return;
        }
        for error in errors {
            log::error!("{error}");
        }
        log::error!("the configuration is not taken; the rules before go on to hold");
        self.tell(Notice::new("config_rejected").reason(errors.join("\n")));
    }

    fn take_anew(&mut self, options: &ReloadOptions) -> Result<Report, Refusal> {
        if !options.dry_run {
            waiting::refuse_while_waiting(&self.maps)?;
        }
        // So that what is used by now is marked in its file.
        self.read_completions()?;
        self.follow_one_time()?;
        let loaded = self.options.load().map_err(Refusal::Rejected)?;
        let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        let mut names = interfaces::named(&self.options, &loaded.config.filter)?;
        let former_defaults = self.former_defaults(&loaded.config.filter);
        names.extend(former_defaults.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
        let present = interfaces::present(&names);
        refuse_to_close_for_others(&loaded, &present)?;
        let prepared = Prepared::new(loaded, &self.maps.states()?)?;
        self.maps.check_room(&prepared.compiled)?;
        let interfaces = if self.options.interfaces.is_empty() {
            InterfaceChanges::between(&self.in_force.interfaces, &names, &prepared.config.filter, &self.pins)?
        } else {
            InterfaceChanges::none(&self.in_force.interfaces)
        };
        warnings.extend(changes::fixed_tables(&self.maps.sizes(), &prepared.table_sizes()?));
        warnings.extend(interfaces.fixed_modes(prepared.config.filter.mode));
        let mut lines = changes::between(&self.in_force.config, &prepared.config);
        lines.extend(interfaces.describe());
        if lines.is_empty() {
            lines.push("nothing differs from what is in force".to_owned());
        }
        let listen = self.metrics.prepare(prepared.config.metrics)?;
        let change = lockout::Change {
            rules: &prepared.rules,
            before: (!interfaces.attach_some()).then_some(&self.maps),
            on_loopback: interfaces::have_loopback(&present),
        };
        let locked_out = change.locked_out()?;
        if options.dry_run {
            Outputs::check(&prepared.config.log)?;
            warnings.extend(lockout::reason(&locked_out));
            return Ok(Report { lines, warnings });
        }
        if !options.yes {
            lockout::refuse(&locked_out)?;
        }
        let outputs = Outputs::open(&prepared.config.log)?;
        self.put_into_force(prepared, interfaces, options.confirm)?;
        logging::write_to(outputs);
        self.metrics.serve(listen)?;
        if let Some(wait) = options.confirm {
            lines.push(format!("undone in {}, unless `knock-ctl confirm` keeps it", in_seconds(wait)));
        }
        log::info!("took the configuration anew: {}", lines.join(", "));
        self.tell(Notice::new("reload"));
        Ok(Report { lines, warnings })
    }

    /// On an error the rules and interfaces before are as they were.
    fn put_into_force(
        &mut self,
        prepared: Prepared,
        interfaces: InterfaceChanges,
        confirm: Option<Duration>,
    ) -> Result<()> {
        // So that every door that is open by now is known to be.
        self.read_completions()?;
        let mode = prepared.config.filter.mode;
        interfaces.attach(&mut self.program, mode, &self.pins)?;
        remember(&self.program, &self.directory);
        let fallback = self.maps.slot_in_force()?;
        let unconfirmed = confirm.map(|wait| Unconfirmed::for_time(wait, fallback));
        let (in_force, _) = match prepared.put_into_force(&mut self.maps, &self.directory, unconfirmed) {
            Ok(done) => done,
            Err(error) => {
                interfaces.take_back(&self.pins);
                return Err(error);
            }
        };
        let before = std::mem::replace(&mut self.in_force, in_force);
        self.in_force.interfaces = interfaces.after();
        self.following.begin_anew();
        self.doors.reconfigure(&self.in_force.config);
        // What follows can't be taken back, and waits with a change that may have to be.
        match unconfirmed {
            Some(unconfirmed) => {
                let before = Before::Own { in_force: Box::new(before), interfaces };
                self.change = Some(Change::begin(&unconfirmed, before, &self.maps, &self.directory));
            }
            None => {
                self.keep_last_good();
                interfaces.detach(&self.pins);
                if let Err(error) = self.close_vanished() {
                    log::error!("{error:#}");
                }
            }
        }
        // Connections that began meanwhile.
        if let Err(error) = connections::import(&self.maps, &self.in_force.closed, &self.in_force.rules) {
            log::error!("{error:#}");
        }
        Ok(())
    }

    /// Ends the grants of doors that there are no more, and runs their stop commands.
    pub(super) fn close_vanished(&mut self) -> Result<()> {
        self.read_completions()?;
        let now = boottime();
        let vanished = |granted| matches!(granted, Granted::Door(door) if self.doors.has_vanished(door));
        for grants in self.maps.all_grants()? {
            if grants.all().iter().any(|grant| vanished(grant.granted())) {
                self.maps.revoke(&grants.source(), vanished, now)?;
            }
        }
        self.doors.forget_vanished(&self.in_force.config);
        Ok(())
    }
}
