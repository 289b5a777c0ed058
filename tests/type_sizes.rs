//! The sizes of public types. They matter to a program that keeps ten thousand calls, or sends events through
//! channels.

use std::mem::size_of;
use unifiedai::{
    CallOptions, ChatRequest, ContentPart, Error, Message, Model, StreamEvent, ToolCall,
    UnifiedChatResponse, Usage,
    sans_io::{Accumulator, ApiCall, CallStart, Exchange, Input, Step},
};

#[test]
fn public_types_stay_small() {
    let sizes = [
        ("Exchange", size_of::<Exchange>(), 2048),
        (
            "Exchange<ApiCall<Vec<Model>>>",
            size_of::<Exchange<ApiCall<Vec<Model>>>>(),
            1024,
        ),
        (
            "Result<UnifiedChatResponse, Error>",
            size_of::<Result<UnifiedChatResponse, Error>>(),
            768,
        ),
        ("UnifiedChatResponse", size_of::<UnifiedChatResponse>(), 768),
        ("Error", size_of::<Error>(), size_of::<usize>()),
        (
            "Result<StreamEvent, Error>",
            size_of::<Result<StreamEvent, Error>>(),
            72,
        ),
        ("StreamEvent", size_of::<StreamEvent>(), 72),
        ("Step", size_of::<Step>(), 320),
        ("Input", size_of::<Input>(), 160),
        ("Start", size_of::<CallStart>(), 40),
        ("CallOptions", size_of::<CallOptions>(), 320),
        ("ChatRequest", size_of::<ChatRequest>(), 1280),
        ("Message", size_of::<Message>(), 96),
        ("ContentPart", size_of::<ContentPart>(), 128),
        ("ToolCall", size_of::<ToolCall>(), 128),
        ("Usage", size_of::<Usage>(), 256),
        ("Accumulator", size_of::<Accumulator>(), 832),
    ];
    for (name, size, limit) in sizes {
        println!("{size:5} bytes (at most {limit}): {name}");
    }
    for (name, size, limit) in sizes {
        assert!(size <= limit, "{name} has grown to {size} bytes");
    }
}
