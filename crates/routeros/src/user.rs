//! What a RouterOS user may do.

/// The policies of a user's group, such as `read`, `write` and `rest-api`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies(Vec<Box<str>>);

impl Policies {
    /// Reads a group's `policy`: names joined by commas, those denied marked with `!`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let granted = |name: &&str| !name.is_empty() && !name.starts_with('!');
        Self(text.split(',').map(str::trim).filter(granted).map(Into::into).collect())
    }

    /// Whether the policy is granted.
    #[must_use]
    pub fn allows(&self, policy: &str) -> bool {
        self.0.iter().any(|granted| &**granted == policy)
    }
}
