//! The versions of the CNI specification, and what each of them lacks.

use cni_shim::error_code;
use serde_json::Value;

use crate::failure::Failure;

/// A supported version of the specification, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V0_3_0,
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

/// What a configuration without `cniVersion` means (specification 0.2.0 and later).
const WHEN_MISSING: &str = "0.2.0";

impl Version {
    pub(crate) const ALL: [Self; 5] = [
        Self::V0_3_0,
        Self::V0_3_1,
        Self::V0_4_0,
        Self::V1_0_0,
        Self::V1_1_0,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// All of them, for people.
    pub(crate) fn list() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The version of that name; `None` if it is not supported.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }

    /// The configuration's version.
    ///
    /// # Errors
    /// Code 1 for every other version, a missing one included.
    pub(crate) fn of_config(given: Option<&str>) -> Result<Self, Failure> {
        let given = given
            .filter(|name| !name.is_empty())
            .unwrap_or(WHEN_MISSING);
        Self::named(given).ok_or_else(|| {
            Failure::new(
                error_code::INCOMPATIBLE_VERSION,
                format!("the configuration's cniVersion {given} is not supported"),
            )
            .with_details(format!("supported versions: {}", Self::list()))
        })
    }

    /// 0.3.x and 0.4.0 say `"version": "4"` beside each address.
    pub(crate) fn has_ip_version(self) -> bool {
        self < Self::V1_0_0
    }

    /// 1.1.0 says the MTU of each interface.
    pub(crate) fn has_interface_mtu(self) -> bool {
        self >= Self::V1_1_0
    }
}

/// The `cniVersion` of the input as it stands there, for VERSION and for errors.
pub(crate) fn as_given(input: &str) -> String {
    let config: Option<Value> = serde_json::from_str(input).ok();
    let given = config
        .as_ref()
        .and_then(|config| config.get("cniVersion")?.as_str());
    given
        .filter(|name| !name.is_empty())
        .unwrap_or(WHEN_MISSING)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_supported_version_is_known_by_its_name() {
        for version in Version::ALL {
            assert_eq!(Version::of_config(Some(version.name())), Ok(version));
        }
    }

    #[test]
    fn other_versions_and_none_are_code_1_and_list_what_is_supported() {
        for given in [
            Some("0.2.0"),
            Some("0.1.0"),
            Some("2.0.0"),
            Some("x"),
            Some(""),
            None,
        ] {
            let failure = Version::of_config(given).unwrap_err();
            assert_eq!(failure.code, 1);
            assert_eq!(
                failure.details,
                "supported versions: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"
            );
        }
    }

    #[test]
    fn a_version_is_given_back_as_it_came() {
        assert_eq!(as_given(r#"{"cniVersion":"9.9.9"}"#), "9.9.9");
        assert_eq!(as_given("not json"), "0.2.0");
    }
}
