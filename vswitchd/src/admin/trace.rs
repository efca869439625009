//! `vswitchctl trace`, answered from the snapshot in force.

use cni_shim::protocol::{Response, error_code};
use cni_shim::trace::Probe;
use serde_json::Value;

use super::{Desk, error};
use crate::trace::{Live, trace};

/// One node's part of the trace.
pub(super) fn answer(desk: &Desk, probe: &Probe) -> Response {
    let view = desk.view.load_full();
    let hop = match trace(&Live(&*desk.live), &view.desired, probe) {
        Ok(hop) => hop,
        Err(refused) => return error(error_code::UNSUPPORTED_FIELD, refused.to_string()),
    };
    match serde_json::to_value(hop) {
        Ok(Value::Object(row)) => Response::Table { rows: vec![row] },
        Ok(other) => error(
            error_code::INTERNAL,
            format!("expected an object, made {other}"),
        ),
        Err(failed) => error(error_code::INTERNAL, failed.to_string()),
    }
}
