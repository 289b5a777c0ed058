use super::super::raw::RawResponse;
use crate::{AsyncClient, CallOptions, Client, Error, Model};
use unifiedai_transport::{AsyncTransport, Transport};

/// `client.models()`.
#[derive(Clone, Debug)]
pub struct Models<C>(pub(super) C);

/// `client.models().with_raw_response()`: the same calls, whose answers come with status, headers and body.
#[derive(Clone, Debug)]
pub struct RawModels<C>(C);

impl<T: Transport + Clone> Models<Client<T>> {
    /// The same calls, with the native answer.
    #[must_use]
    pub fn with_raw_response(self) -> RawModels<Client<T>> {
        let options = keeping_headers(self.0.options());
        RawModels(self.0.with_options(options))
    }

    /// All models.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub fn list(&self) -> Result<Vec<Model>, Error> {
        self.0.list_models(None)
    }

    /// One model.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub fn retrieve(&self, id: &str) -> Result<Model, Error> {
        self.0.retrieve_model(id)
    }
}

impl<T: AsyncTransport + Clone + Unpin> Models<AsyncClient<T>> {
    /// The same calls, with the native answer.
    #[must_use]
    pub fn with_raw_response(self) -> RawModels<AsyncClient<T>> {
        let options = keeping_headers(self.0.options());
        RawModels(self.0.with_options(options))
    }

    /// All models.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub async fn list(&self) -> Result<Vec<Model>, Error> {
        self.0.list_models(None).await
    }

    /// One model.
    ///
    /// # Errors
    /// Whatever ended the call.
    pub async fn retrieve(&self, id: &str) -> Result<Model, Error> {
        self.0.retrieve_model(id).await
    }
}

impl<T: Transport + Clone> RawModels<Client<T>> {
    /// All models. Of a list in several pages the native answer is the last one.
    ///
    /// # Errors
    /// Whatever ended the call; [`Error::status`] and [`Error::body`] have the native answer then.
    pub fn list(&self) -> Result<RawResponse<Vec<Model>>, Error> {
        let call = self.0.providers.list_models_raw(self.0.start())?;
        self.0.run(call).map(RawResponse::new)
    }

    /// One model.
    ///
    /// # Errors
    /// Whatever ended the call; [`Error::status`] and [`Error::body`] have the native answer then.
    pub fn retrieve(&self, id: &str) -> Result<RawResponse<Model>, Error> {
        let call = self.0.providers.retrieve_model_raw(id, self.0.start())?;
        self.0.run(call).map(RawResponse::new)
    }
}

impl<T: AsyncTransport + Clone + Unpin> RawModels<AsyncClient<T>> {
    /// All models. Of a list in several pages the native answer is the last one.
    ///
    /// # Errors
    /// Whatever ended the call; [`Error::status`] and [`Error::body`] have the native answer then.
    pub async fn list(&self) -> Result<RawResponse<Vec<Model>>, Error> {
        let call = self.0.providers.list_models_raw(self.0.start())?;
        self.0.run(call).await.map(RawResponse::new)
    }

    /// One model.
    ///
    /// # Errors
    /// Whatever ended the call; [`Error::status`] and [`Error::body`] have the native answer then.
    pub async fn retrieve(&self, id: &str) -> Result<RawResponse<Model>, Error> {
        let call = self.0.providers.retrieve_model_raw(id, self.0.start())?;
        self.0.run(call).await.map(RawResponse::new)
    }
}

fn keeping_headers(options: &CallOptions) -> CallOptions {
    let mut options = options.clone();
    options.keep_headers = true;
    options
}
