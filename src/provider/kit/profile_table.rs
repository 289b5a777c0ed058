//! A table of profiles, and a constructor for each row.

/// Rows are `name(arguments) = PROFILE;`. Each becomes a function of the provider that makes it with the profile: the argument
/// `key` is the key, every other one is what the profile's address leaves open. `TABLE` has all profiles.
macro_rules! profile_table {
    ($provider:ident, $profile:ident, $home:literal; $($name:ident($($argument:ident),*) = $constant:path;)*) => {
        const TABLE: &[$profile] = &[$($constant),*];

        impl $provider {
            $(
                #[doc = concat!(
                    "The server of the profile [`", stringify!($constant), "`](crate::provider::", $home, stringify!($constant),
                    "). For other options use [`builder`](Self::builder) with this profile.\n\n```\n",
                    "# use unifiedai::provider::", stringify!($provider), ";\n",
                    "let provider = ", stringify!($provider), "::", stringify!($name),
                    "(", $("\"my-", stringify!($argument), "\", ",)* ")?;\n",
                    "# Ok::<(), unifiedai::Error>(())\n```\n\n",
                    "# Errors\n`invalid_request` if an argument cannot be what its name says."
                )]
                pub fn $name($($argument: impl Into<String>),*) -> Result<Self, crate::Error> {
                    let builder = Self::builder().profile($constant);
                    $(
                        let builder = match stringify!($argument) {
                            "key" => builder.api_key($argument)?,
                            open => builder.url_param(open, $argument),
                        };
                    )*
                    builder.build()
                }
            )*
        }
    };
}

pub(crate) use profile_table;
