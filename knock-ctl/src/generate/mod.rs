//! A fresh door: [`generate`] draws a random sequence, and writes a configuration that explains itself.

mod candidates;
mod draw;
mod instructions;
mod text;

#[cfg(test)]
mod tests;

use std::path::Path;

use knock_common::port::{Port, PortRange};

use crate::config::{self, Sequence};
use candidates::Candidates;

/// What is wanted.
pub struct Request<'a> {
    /// At least one.
    pub opens: &'a [PortRange],
    /// The sequence is one of 2^bits or more.
    pub bits: u32,
    /// On which ports something listens here.
    pub listening: &'a [Port],
}

/// A configuration with one door.
pub struct Generated {
    /// `check --strict` lets it pass. It holds the sequence.
    pub text: String,
    /// Ways to knock, several lines. They hold the sequence.
    pub instructions: String,
}

#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error(
        "a sequence of {} of the {left} ports that are left has fewer than {bits} bits; write fewer bits, or open fewer ports",
        Sequence::MAX_STEPS
    )]
    TooFewPorts { left: usize, bits: u32 },
    #[error("{} entries are more than {max}; join neighbouring ports to ranges such as 8000-8100/tcp", .0, max = config::Opens::MAX_ENTRIES)]
    TooManyEntries(usize),
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Where random numbers come from: uniform over all of `u32`.
pub type Random<'a> = &'a mut dyn FnMut() -> Result<u32, getrandom::Error>;

/// Draws a sequence with `random`, which is the operating system's where it counts.
///
/// # Errors
/// Too little is left to draw from, or nothing to draw with.
pub fn generate(request: &Request<'_>, random: Random<'_>) -> Result<Generated, GenerateError> {
    if request.opens.len() > config::Opens::MAX_ENTRIES {
        return Err(GenerateError::TooManyEntries(request.opens.len()));
    }
    let candidates = Candidates::new(request.opens, request.listening);
    let steps = draw::steps_for(request.bits, candidates.count())
        .ok_or(GenerateError::TooFewPorts { left: candidates.count(), bits: request.bits })?;
    let bits = draw::bits(steps, candidates.count());
    loop {
        let sequence = draw::draw(steps, &candidates, random)?;
        let text = text::write(&sequence, request.opens, bits);
        // Published sequences are among those that can be drawn.
        let passes =
            config::parse(&text, "generated", Path::new("")).is_ok_and(|loaded| loaded.warnings.is_empty());
        if passes {
            return Ok(Generated { text, instructions: instructions::write(&sequence, request.opens) });
        }
    }
}
