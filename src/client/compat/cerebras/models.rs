use super::super::raw::RawResponse;
use crate::{AsyncClient, CallOptions, Client, Error, Model};
use unifiedai_transport::{AsyncTransport, Transport};

/// `client.models()`.
#[derive(Clone, Debug)]
pub struct Models<C>(pub(super) C);

/// `client.models().with_raw_response()`: the same calls, returning status, headers and body too.
#[derive(Clone, Debug)]
pub struct RawModels<C>(C);

impl<T: Transport + Clone> Models<Client<T>> {
    /// The same calls, returning the raw response too.
    #[must_use]
    pub fn with_raw_response(self) -> RawModels<Client<T>> {
        let options = keeping_headers(self.0.options());
        RawModels(self.0.with_options(options))
    }

    /// Lists all models.
    ///
    /// # Errors
    /// The error that ended the call.
    pub fn list(&self) -> Result<Vec<Model>, Error> {
        self.0.list_models(None)
    }

    /// Returns one model.
    ///
    /// # Errors
    /// The error that ended the call.
    pub fn retrieve(&self, id: &str) -> Result<Model, Error> {
        self.0.retrieve_model(id)
    }
}

impl<T: AsyncTransport + Clone + Unpin> Models<AsyncClient<T>> {
    /// The same calls, returning the raw response too.
    #[must_use]
    pub fn with_raw_response(self) -> RawModels<AsyncClient<T>> {
        let options = keeping_headers(self.0.options());
        RawModels(self.0.with_options(options))
    }

    /// Lists all models.
    ///
    /// # Errors
    /// The error that ended the call.
    pub async fn list(&self) -> Result<Vec<Model>, Error> {
        self.0.list_models(None).await
    }

    /// Returns one model.
    ///
    /// # Errors
    /// The error that ended the call.
    pub async fn retrieve(&self, id: &str) -> Result<Model, Error> {
        self.0.retrieve_model(id).await
    }
}

impl<T: Transport + Clone> RawModels<Client<T>> {
    /// Lists all models. If the list has several pages, the raw response is the last one.
    ///
    /// # Errors
    /// The error that ended the call; [`Error::status`] and [`Error::body`] have its raw response.
    pub fn list(&self) -> Result<RawResponse<Vec<Model>>, Error> {
        let call = self.0.providers.list_models(None, self.0.start())?;
        self.0.run(call).map(RawResponse::new)
    }

    /// Returns one model.
    ///
    /// # Errors
    /// The error that ended the call; [`Error::status`] and [`Error::body`] have its raw response.
    pub fn retrieve(&self, id: &str) -> Result<RawResponse<Model>, Error> {
        let call = self.0.providers.retrieve_model(id, self.0.start())?;
        self.0.run(call).map(RawResponse::new)
    }
}

impl<T: AsyncTransport + Clone + Unpin> RawModels<AsyncClient<T>> {
    /// Lists all models. If the list has several pages, the raw response is the last one.
    ///
    /// # Errors
    /// The error that ended the call; [`Error::status`] and [`Error::body`] have its raw response.
    pub async fn list(&self) -> Result<RawResponse<Vec<Model>>, Error> {
        let call = self.0.providers.list_models(None, self.0.start())?;
        self.0.run(call).await.map(RawResponse::new)
    }

    /// Returns one model.
    ///
    /// # Errors
    /// The error that ended the call; [`Error::status`] and [`Error::body`] have its raw response.
    pub async fn retrieve(&self, id: &str) -> Result<RawResponse<Model>, Error> {
        let call = self.0.providers.retrieve_model(id, self.0.start())?;
        self.0.run(call).await.map(RawResponse::new)
    }
}

fn keeping_headers(options: &CallOptions) -> CallOptions {
    let mut options = options.clone();
    options.keep_headers = true;
    options
}
