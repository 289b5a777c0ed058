//! Google's Interactions API, with the settings of its environment.

use super::{clouds::gemini_interactions_on_vertex, providers::google, read_file, variable};
use crate::{
    Error,
    provider::{GeminiInteractions, ProviderBuilder},
};

impl GeminiInteractions {
    /// Creates Google's Interactions API with the key in `GEMINI_API_KEY`, else `GOOGLE_API_KEY`, at `GEMINI_BASE_URL` if
    /// that is set.
    ///
    /// ```no_run
    /// # use unifiedai::provider::GeminiInteractions;
    /// let provider = GeminiInteractions::from_env()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn from_env() -> Result<Self, Error> {
        google(Self::builder(), &variable)?.build()
    }

    /// Creates the API on Vertex AI, with the variables of [`Gemini::vertex_from_env`](crate::provider::Gemini::vertex_from_env).
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn vertex_from_env() -> Result<Self, Error> {
        gemini_interactions_on_vertex(&variable, &read_file, None)?.build()
    }
}

impl ProviderBuilder<GeminiInteractions> {
    /// Reads the settings that are not set yet from the environment, like [`GeminiInteractions::from_env`]. With a
    /// [`base_url`](ProviderBuilder::base_url) the key may be missing.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn read_env(self) -> Result<Self, Error> {
        google(self, &variable)
    }
}
