//! The knocking client, `knock-ctl knock`; needs no privilege.
