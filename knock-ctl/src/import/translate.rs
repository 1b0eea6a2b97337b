//! From what knockd's file says to our configuration: its frame and what holds for all doors.

use super::document::Document;
use super::knockd::KnockdFile;
use super::names;
use super::notes::Notes;
use super::{doors, options};

pub(super) fn translate(file: &KnockdFile, notes: &mut Notes) -> Document {
    let names = names::assign(&file.doors, notes);
    let mut document = Document::default();
    document.comment("Made of a knockd.conf by knock-ctl import: the same doors, with what knockd leaves unsaid written out.");
    document
        .comment("A line with \"#\" and no space behind it is a setting to be had by taking the \"#\" away.");
    document.comment(
        "This file holds sequences: chmod 600. \"knock-ctl check\" tells what it means, and what is unwise.",
    );
    options::write_filter(&file.options, &mut document);
    doors::write_defaults(&mut document);
    options::write_log(&file.options, &mut document, notes);
    doors::write(&file.doors, &names, &mut document, notes);
    document
}
