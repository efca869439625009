//! The plugin's steps, by name: a test aid.
//!
//! With the environment variable [`DIE_AFTER`] set to a step's name, the plugin calls abort(3) right
//! after that step. The tests kill it at every one and require that a retry, DEL or GC heals what is
//! left. Nothing else reads the variable, and no runtime sets it.

/// The environment variable that names the last step to be done.
pub const DIE_AFTER: &str = "VSWITCH_CNI_DIE_AFTER";

/// A point after which the plugin may be told to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// ADD: environment, configuration and pod are as they must be; nothing has changed yet.
    Validated,
    /// ADD: an address is reserved.
    Allocated,
    /// ADD: no host link of the pod's name is left.
    StaleRemoved,
    /// ADD: the veth pair exists, down.
    VethCreated,
    /// ADD: the host end has its sysctls and is up.
    HostReady,
    /// ADD: the pod's end is up.
    PodUp,
    /// ADD: both routes are there.
    RoutesAdded,
    /// ADD: the address is there.
    AddressAdded,
    /// ADD: the pod's sysctls are set; the wiring is complete.
    PodReady,
    /// ADD: the daemon forwards; the result is not printed yet.
    Attached,
    /// DEL: the veth pair is gone.
    VethDeleted,
    /// DEL: the daemon has closed the port and freed the address.
    Detached,
}

impl Step {
    /// The steps of ADD, in order.
    pub const ADD: [Self; 10] = [
        Self::Validated,
        Self::Allocated,
        Self::StaleRemoved,
        Self::VethCreated,
        Self::HostReady,
        Self::PodUp,
        Self::RoutesAdded,
        Self::AddressAdded,
        Self::PodReady,
        Self::Attached,
    ];

    /// The steps of DEL, in order.
    pub const DEL: [Self; 2] = [Self::VethDeleted, Self::Detached];

    /// The name to put into [`DIE_AFTER`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Validated => "validated",
            Self::Allocated => "allocated",
            Self::StaleRemoved => "stale-removed",
            Self::VethCreated => "veth-created",
            Self::HostReady => "host-ready",
            Self::PodUp => "pod-up",
            Self::RoutesAdded => "routes-added",
            Self::AddressAdded => "address-added",
            Self::PodReady => "pod-ready",
            Self::Attached => "attached",
            Self::VethDeleted => "veth-deleted",
            Self::Detached => "detached",
        }
    }

    /// Says that the step is done; does not return if this is the step to die after.
    pub fn done(self) {
        if std::env::var_os(DIE_AFTER).is_some_and(|step| step == self.name()) {
            std::process::abort();
        }
    }
}
