//! Parts of hosted tools, and compactions: they arrive complete.

use super::{PartKind, ResponseBuilder, part_number};
use crate::{
    ContentPart, Error, StreamEvent,
    chat::{Compaction, HostedToolCall, HostedToolResult, ProviderBlock},
};

/// # Hosted tools
impl ResponseBuilder {
    /// Adds a call of a hosted tool. Calls, results and blocks of one key are in the order of these calls.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn hosted_tool_call(
        &mut self,
        choice: u32,
        key: u32,
        call: HostedToolCall,
    ) -> Result<(), Error> {
        self.charge_part(call.typed_bytes(), call.raw.as_ref())?;
        self.end_run(choice)?;
        let part = part_number(key, PartKind::Opaque)?;
        let call = Box::new(call);
        self.emit(StreamEvent::HostedToolCall { choice, part, call });
        Ok(())
    }

    /// Adds the result of a hosted tool.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn hosted_tool_result(
        &mut self,
        choice: u32,
        key: u32,
        result: HostedToolResult,
    ) -> Result<(), Error> {
        self.charge_part(result.typed_bytes(), result.raw.as_ref())?;
        self.end_run(choice)?;
        let part = part_number(key, PartKind::Opaque)?;
        self.emit(StreamEvent::HostedToolResult {
            choice,
            part,
            result: Box::new(result),
        });
        Ok(())
    }

    /// Adds a compaction.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn compaction(
        &mut self,
        choice: u32,
        key: u32,
        compaction: Compaction,
    ) -> Result<(), Error> {
        let summary = compaction.summary.as_ref().map_or(0, String::len);
        self.charge_part(summary, compaction.raw.as_ref())?;
        self.end_run(choice)?;
        let part = part_number(key, PartKind::Opaque)?;
        self.emit(StreamEvent::Compaction {
            choice,
            part,
            compaction: Box::new(compaction),
        });
        Ok(())
    }

    fn charge_part(&mut self, typed: usize, raw: Option<&ProviderBlock>) -> Result<(), Error> {
        let raw = raw.map_or(0, |raw| {
            raw.provider.len().saturating_add(raw.block.as_str().len())
        });
        let own = size_of::<ContentPart>().saturating_add(typed);
        self.charge(own.saturating_add(raw))
    }
}
