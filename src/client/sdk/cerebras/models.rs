use crate::{AsyncClient, Client, Error, Model};
use unifiedai_transport::{AsyncTransport, Transport};

/// `client.models()`.
#[derive(Clone, Debug)]
pub struct Models<C>(pub(super) C);

impl<T: Transport + Clone> Models<Client<T>> {
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
        self.0.model(id)
    }
}

impl<T: AsyncTransport + Clone + Unpin> Models<AsyncClient<T>> {
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
        self.0.model(id).await
    }
}
