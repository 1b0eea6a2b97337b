//! What is remembered between packets.

use crate::agreement::assert_agrees;
use crate::stream::Stream;

/// The core and the model agree on every packet of the stream that the bytes say.
pub fn matcher(bytes: &[u8]) {
    let stream = Stream::from_bytes(bytes);
    assert_agrees(&stream);
}
