//! `vswitchctl policy` as a process: every verb, its errors and its exit status; and every case of
//! `policy/tests/cases` through `policy eval`.

#![forbid(unsafe_code)]

mod cases;
mod eval;
mod lint;
mod live;
mod readme;
mod shop;
mod stories;
