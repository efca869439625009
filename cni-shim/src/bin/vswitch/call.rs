//! One call of the plugin: its variables, its configuration, its log.

use cni_shim::{
    Attachment, DEFAULT_PREFIX, error_code, host_interface_name, host_interface_name_for_container,
};
use netlink::NetNs;

use crate::{
    config::Config,
    environment::{Environment, Verb},
    failure::Failure,
    log::{Level, Log},
    version::Version,
};

/// Everything a verb works with.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) environment: Environment,
    pub(crate) config: Config,
    pub(crate) version: Version,
    pub(crate) log: Log,
}

impl Call {
    /// Puts a call together and writes the configuration's remarks to the log.
    ///
    /// # Errors
    /// Code 1 if the configuration's version does not have the verb.
    pub(crate) fn new(environment: Environment, config: Config) -> Result<Self, Failure> {
        let version = config.version()?;
        let verb = environment.verb.map_or("?", Verb::name);
        let since = match environment.verb {
            Some(Verb::Check) => Version::V0_4_0,
            Some(Verb::Gc | Verb::Status) => Version::V1_1_0,
            _ => Version::V0_3_0,
        };
        if version < since {
            let message = format!(
                "{verb} exists since CNI {}, the configuration's cniVersion is {}",
                since.name(),
                version.name()
            );
            return Err(Failure::new(error_code::INCOMPATIBLE_VERSION, message));
        }
        let subject = format!("{verb} {}", environment.container_id);
        let level = Level::parse(config.log_level());
        let log = Log::new(level, config.log_file(), subject.trim_end().to_owned());
        config.remarks().iter().for_each(|remark| log.warn(remark));
        Ok(Self {
            environment,
            config,
            version,
            log,
        })
    }

    /// The attachment this call is about.
    pub(crate) fn attachment(&self) -> Attachment {
        Attachment {
            container_id: self.environment.container_id.clone(),
            ifname: self.environment.ifname.clone(),
        }
    }

    /// The host end's name: by namespace and pod under Kubernetes, by container id otherwise.
    pub(crate) fn host_interface(&self) -> String {
        let args = &self.environment.args;
        match (&args.namespace, &args.pod) {
            (Some(namespace), Some(pod)) => host_interface_name(DEFAULT_PREFIX, namespace, pod),
            _ => host_interface_name_for_container(DEFAULT_PREFIX, &self.environment.container_id),
        }
    }

    /// The container's namespace, which must be another one than the plugin's own.
    ///
    /// # Errors
    /// Code 8 if it cannot be opened or is our own.
    pub(crate) fn open_netns(&self) -> Result<NetNs, Failure> {
        let invalid = |message: String| Failure::new(error_code::INVALID_NETNS, message);
        let path = &self.environment.netns;
        let netns = NetNs::open(path)
            .map_err(|error| invalid(format!("CNI_NETNS is unusable: {error}")))?;
        if netns == NetNs::current()? {
            let message = "is the plugin's own network namespace; expected the container's";
            return Err(invalid(format!("CNI_NETNS {path} {message}")));
        }
        Ok(netns)
    }
}
