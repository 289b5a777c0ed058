//! Hosted tools: tools that the provider runs. How a request asks for them, and how a response shows their calls and
//! results.

mod call;
mod compaction;
mod result;
mod tool;

pub use call::{HostedToolCall, HostedToolInput};
pub use compaction::{Compaction, CompactionSettings};
pub use result::{
    CodeOutput, FetchedPage, FilePassage, HostedToolError, HostedToolOutput, HostedToolResult,
    SearchResult,
};
pub(crate) use tool::Value as SettingValue;
pub use tool::{HostedTool, HostedToolSetting, UserLocation};

use crate::string_enum::wire_enum;

wire_enum! {
    /// The kind of a hosted tool.
    HostedToolKind {
        /// Searches the web.
        WebSearch = "web_search",
        /// Reads web pages and documents by their URL.
        WebFetch = "web_fetch",
        /// Runs code in a container of the provider.
        CodeExecution = "code_execution",
        /// Searches files that were uploaded to the provider.
        FileSearch = "file_search",
        /// Calls the tools of an MCP server.
        Mcp = "mcp",
        /// Finds functions whose definitions are deferred.
        ToolSearch = "tool_search",
        /// Generates images.
        ImageGeneration = "image_generation",
    }
}
