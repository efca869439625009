//! Dialects: the fields that hold selectors, and what `all()` and `global()` mean in each.

use crate::model::{
    CALICO_NAME_LABEL, NAMESPACE_LABEL, SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_PREFIX, Selector,
};

/// How one kind of field is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// What is put before every key that is written.
    pub(super) key_prefix: &'static str,
    /// The label whose presence is what `all()` means; `None` when it asks for nothing.
    pub(super) all: Option<&'static str>,
    pub(super) global: Global,
}

/// Where `global()` may stand. It means the absence of the label.
#[derive(Clone, Copy, Debug)]
pub(super) enum Global {
    Anywhere(&'static str),
    Alone(&'static str),
    Nowhere,
}

impl Dialect {
    /// Labels of pods and network sets, wherever they are asked about.
    pub(crate) const LABELS: Self = Self {
        key_prefix: "",
        all: None,
        global: Global::Anywhere(NAMESPACE_LABEL),
    };

    /// Selectors of endpoints in policies: Calico's API takes `global()` only in the
    /// `namespaceSelector` of a rule.
    pub(crate) const ENDPOINTS: Self = Self {
        global: Global::Nowhere,
        ..Self::LABELS
    };

    /// The `namespaceSelector` of a rule.
    pub(crate) const RULE_NAMESPACES: Self = Self {
        key_prefix: "",
        all: Some(CALICO_NAME_LABEL),
        global: Global::Alone(CALICO_NAME_LABEL),
    };

    /// The `namespaceSelector` of a GlobalNetworkPolicy.
    pub(crate) const POLICY_NAMESPACES: Self = Self {
        global: Global::Nowhere,
        ..Self::RULE_NAMESPACES
    };

    /// Selectors of service accounts: pods carry the labels of theirs under a prefix.
    pub(crate) const ACCOUNTS: Self = Self {
        key_prefix: SERVICE_ACCOUNT_PREFIX,
        all: None,
        global: Global::Nowhere,
    };

    /// The `serviceAccountSelector` of a GlobalNetworkPolicy.
    pub(crate) const GLOBAL_POLICY_ACCOUNTS: Self = Self {
        all: Some(SERVICE_ACCOUNT_LABEL),
        ..Self::ACCOUNTS
    };

    pub(super) fn key(&self, written: &str) -> String {
        format!("{}{written}", self.key_prefix)
    }

    pub(super) fn all(&self) -> Selector {
        self.all.map_or_else(Selector::everything, has)
    }
}

pub(super) fn has(label: &str) -> Selector {
    Selector::Has(label.to_owned())
}
