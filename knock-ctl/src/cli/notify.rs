//! Tells the controller that grants were changed beside it.

use crate::controller::{Request, SocketError, ask};
use crate::runtime::RuntimeDirectory;

/// Has the controller, if one runs, start and stop the commands of doors that were opened and closed beside it.
pub(super) fn notify_controller(directory: &RuntimeDirectory) {
    match ask(directory, &Request::Reconcile) {
        Ok(_) | Err(SocketError::NoController) => {}
        Err(error) => {
            log::warn!(
                "the controller could not be told, so that commands of doors may not have run: {error}"
            );
        }
    }
}
