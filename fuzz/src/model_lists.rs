use super::{
    drive::{Answer, Arrival, Outcome, options, run, start},
    protocols::wire,
    source::Source,
};
use std::sync::Arc;
use unifiedai::{
    EmbedRequest, Model, StreamEvent,
    provider::ApiResponse,
    sans_io::{Exchange, Operation},
};

/// Operations other than chats: an API, which list, a chunk size, the body.
pub fn model_lists(data: &[u8]) {
    let mut source = Source(data);
    let (letter, which, size) = (source.byte(), source.byte(), source.byte());
    let Some(provider) = wire(letter) else { return };
    let answer = Answer::json(source.0.to_vec());
    let arrivals = [Arrival::Whole, Arrival::Pieces(usize::from(size).max(1))];
    match which % 3 {
        0 => {
            let list = || Exchange::list_models(provider.clone(), options(), start());
            let [whole, pieces] = arrivals.map(|arrival| ask(list(), &answer, arrival));
            same(whole.as_ref(), pieces.as_ref(), |a, b| a.answer == b.answer);
        }
        1 => {
            let model = || Exchange::retrieve_model(provider.clone(), "m", options(), start());
            let [whole, pieces]: [Option<Outcome<ApiResponse<Model>>>; 2] =
                arrivals.map(|arrival| ask(model(), &answer, arrival));
            same(whole.as_ref(), pieces.as_ref(), |a, b| a.answer == b.answer);
        }
        _ => {
            let texts = Arc::new(EmbedRequest::new("m").text("one").text("two"));
            let vectors = || Exchange::embed(provider.clone(), texts.clone(), options(), start());
            let [whole, pieces] = arrivals.map(|arrival| ask(vectors(), &answer, arrival));
            same(whole.as_ref(), pieces.as_ref(), |a, b| {
                assert_eq!(a.embeddings.len(), 2, "a vector for each text");
                a.embeddings == b.embeddings && a.usage == b.usage
            });
        }
    }
}

/// `None` if the provider has no such list.
fn ask<O: Operation<Event = StreamEvent>>(
    exchange: Result<Exchange<O>, unifiedai::Error>,
    answer: &Answer,
    arrival: Arrival,
) -> Option<Outcome<O::Output>> {
    Some(run(exchange.ok()?, answer, arrival))
}

fn same<T>(a: Option<&Outcome<T>>, b: Option<&Outcome<T>>, equal: fn(&T, &T) -> bool) {
    let (Some(a), Some(b)) = (a, b) else {
        return assert!(a.is_none() && b.is_none());
    };
    match (&a.result, &b.result) {
        (Ok(a), Ok(b)) => assert!(equal(a, b), "pieces give another list"),
        (Err(a), Err(b)) => assert_eq!((a.kind(), a.message()), (b.kind(), b.message())),
        _ => panic!("pieces decide whether there is a list"),
    }
}
