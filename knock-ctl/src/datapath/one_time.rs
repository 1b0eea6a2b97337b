//! One-time sequences that the kernel program has seen used.

use std::collections::BTreeSet;

use aya::maps::MapError;
use knock_common::rules::SequenceId;
use sha2::{Digest, Sha256};

use super::DatapathError;
use super::maps::Maps;

impl Maps {
    /// Names these tables: others, made anew, have another name. In hexadecimal.
    pub fn identity(&self) -> Result<String, DatapathError> {
        // The key itself stays a secret.
        let mut hash = Sha256::new();
        self.control()?.hash_key.0.iter().for_each(|word| hash.update(word.to_le_bytes()));
        Ok(format!("{:x}", hash.finalize()))
    }

    pub fn used_sequences(&self) -> Result<BTreeSet<SequenceId>, DatapathError> {
        self.used.keys().map(|key| key.map_err(DatapathError::map("USED"))).collect()
    }

    /// Only for sequences that no rules name any more: they could be used again.
    pub fn forget_used(&mut self, sequences: &BTreeSet<SequenceId>) -> Result<(), DatapathError> {
        for sequence in sequences {
            match self.used.remove(sequence) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(DatapathError::map("USED")(error)),
            }
        }
        Ok(())
    }
}
