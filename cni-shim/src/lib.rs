//! Request and response types of the daemon socket, and the CNI plugin vswitch.
