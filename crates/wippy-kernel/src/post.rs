//! The way of a message: whom an address means, whether the sender may, and into which mailbox.
//!
//! It begins at the table, which every process reaches without asking whether its node is still
//! there.

use std::sync::Arc;

use wippy_model::{EntryId, Error, Message, Pid, PidText, Result, Value};

use crate::Address;
use crate::figures::count_sent;
use crate::process::ProcessShared;
use crate::table::Table;

impl Table {
    /// The process at an address, and the call where it is a reply address. The whole PID must
    /// fit: permissions look at the host that it names.
    pub(crate) fn find(&self, address: Address<'_>) -> Option<(Arc<ProcessShared>, u64)> {
        match address {
            Address::Pid(pid) => {
                let found = self.get(pid.serial())?;
                found.pid.is_same_process(pid).then(|| (found, pid.call()))
            }
            Address::Text(text) if text.starts_with('{') => {
                let text = PidText::parse(text)?;
                let found = self.get(text.serial())?;
                text.names(&found.pid).then(|| (found, text.call()))
            }
            Address::Text(name) => Some((self.names.get(name)?, 0)),
        }
    }

    /// Sends a message.
    pub(crate) fn send(&self, target: Address<'_>, message: Message) -> Result<()> {
        let found = self.find(target);
        if self.authorizer.is_some() {
            // A PID says where it belongs also when it is gone.
            match (&found, target) {
                (Some((process, _)), _) => self.may_send(&message, process.pid.host())?,
                (None, Address::Pid(pid)) => self.may_send(&message, pid.host())?,
                (None, Address::Text(text)) => {
                    if let Ok(pid) = Pid::parse(text) {
                        self.may_send(&message, pid.host())?;
                    }
                }
            }
        }
        no_handles(&message)?;
        let sent = match found {
            Some((process, 0)) => process.mailbox.push_message(message),
            Some((process, call)) => process.reply(call, message),
            None => Err(target.not_found()),
        };
        sent.inspect(|()| count_sent())
            .map_err(|error| error.context(format_args!("cannot send to {target}")))
    }

    fn may_send(&self, message: &Message, host: &EntryId) -> Result<()> {
        match &self.authorizer {
            Some(authorizer) => authorizer.allow(&message.context, "process.send", host.as_str()),
            None => Ok(()),
        }
    }
}

/// Refuses handles: they are worth nothing in another process.
pub(crate) fn no_handles(message: &Message) -> Result<()> {
    match message.payloads.iter().find_map(Value::holds_handle) {
        None => Ok(()),
        Some(handle) => Err(Error::invalid(format!(
            "a handle of {} cannot leave its process in a message",
            handle.name
        ))),
    }
}
