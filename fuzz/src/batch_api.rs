use super::{protocols::CANARY, source::Source};
use bytes::Bytes;
use http::Response;
use std::sync::Arc;
use unifiedai::{
    Secret,
    policy::SizeLimits,
    provider::{
        Anthropic, Auth, AwsCredentials, BatchStorage, Bedrock, DecodedCall, Gemini, OpenAiChat,
        Provider, openai_chat::profiles,
    },
    provider_batch::{
        BatchAnswer, BatchCall, BatchInput, NewBatch, NewFile, ResultSource, decode_chat,
    },
};

/// Batch and file APIs: an API, a call, a body or lines of results.
///
/// A batch has an id, and results only in a final state. A request without authentication has no key. A line is read the same
/// again. No error has the key.
pub fn batch_api(data: &[u8]) {
    let mut source = Source(data);
    let provider = provider(source.byte());
    let mut call = call(source.byte());
    let body = Bytes::copy_from_slice(source.0);
    let api = provider.batch_api().unwrap();
    if api.encode_call(&call).is_err() {
        return;
    }
    let head = Response::new(()).into_parts().0;
    // The server could answer each request with the same body.
    for _ in 0..4 {
        match api.decode_call(&call, &head, &body) {
            Ok(DecodedCall::Then(next)) => call = next,
            Ok(DecodedCall::Answer(BatchAnswer::Batch(batch))) => {
                assert!(!batch.id.is_empty(), "a batch without an id");
                assert!(batch.results.is_empty() || batch.state.is_final());
                break;
            }
            Ok(_) => break,
            Err(error) => {
                assert!(!format!("{error:?}").contains(CANARY));
                break;
            }
        }
        match api.encode_call(&call) {
            Ok(next) if !next.authenticated => {
                assert!(!format!("{:?}", next.request.headers()).contains(CANARY));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let Ok(text) = std::str::from_utf8(&body) else {
        return;
    };
    for line in text.lines().take(16) {
        let read = || {
            decode_chat(
                &*provider,
                api.decode_line(line),
                None,
                &SizeLimits::default(),
            )
        };
        let (first, again) = (read(), read());
        assert_eq!(first.id, again.id);
        assert_eq!(first.outcome.as_str(), again.outcome.as_str());
    }
}

/// One provider for each file that decodes batches.
fn provider(letter: u8) -> Arc<dyn Provider> {
    let like_openai = |profile| {
        let builder = OpenAiChat::builder().profile(profile);
        let builder = builder.api_key(CANARY).unwrap();
        builder.url_param("account", "acc").build().unwrap()
    };
    match letter.wrapping_sub(b'a') % 9 {
        0 => Arc::new(like_openai(profiles::OPENAI)),
        1 => Arc::new(like_openai(profiles::MISTRAL)),
        2 => Arc::new(like_openai(profiles::XAI)),
        3 => Arc::new(like_openai(profiles::TOGETHER)),
        4 => Arc::new(like_openai(profiles::FIREWORKS)),
        5 => Arc::new(Anthropic::new(CANARY).unwrap()),
        6 => Arc::new(Gemini::new(CANARY).unwrap()),
        7 => {
            let token = Auth::Bearer(Secret::new(CANARY).unwrap().into());
            let gemini = Gemini::builder().vertex("p", "us-central1").unwrap();
            let gemini = gemini.auth(token).batch_folder("gs://bucket/runs");
            Arc::new(gemini.build().unwrap())
        }
        _ => {
            let keys = AwsCredentials::new("AKIDEXAMPLE", CANARY, None).unwrap();
            let storage = BatchStorage::new("arn:aws:iam::1:role/r", "s3://bucket/runs").unwrap();
            let bedrock = Bedrock::builder().region("us-east-1").credentials(keys);
            Arc::new(bedrock.batch_storage(storage).build().unwrap())
        }
    }
}

fn call(letter: u8) -> BatchCall {
    let file = || NewFile::new("run1-0.jsonl", "application/jsonl", "{}\n");
    let id = || "s3://bucket/k".to_owned();
    match letter.wrapping_sub(b'a') % 12 {
        0 => BatchCall::Retrieve("b-1".into()),
        1 => BatchCall::List(None),
        2 => BatchCall::Create(NewBatch::new(BatchInput::File("f-1".into()), "m", "t")),
        3 => BatchCall::Create(NewBatch::new(BatchInput::Lines("{}\n".into()), "m", "t")),
        4 => BatchCall::Results(ResultSource::Inline("b-1".into())),
        5 => BatchCall::Results(ResultSource::Pages {
            batch: "b-1".into(),
            page: None,
        }),
        6 => BatchCall::Results(ResultSource::File("ds#dataset/ds/r.jsonl".into())),
        7 => BatchCall::UploadFile(file()),
        8 => BatchCall::RetrieveFile("f-1".into()),
        9 => BatchCall::RetrieveFile(id()),
        10 => BatchCall::ListFiles(None),
        _ => BatchCall::Cancel("b-1".into()),
    }
}
