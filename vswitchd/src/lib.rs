//! The daemon and the operator CLI: control plane, workers, host set-up, admin socket.
