//! The lines of a run: encodes them and gathers them into parts within the provider's limits.

use super::{
    super::ItemOutcome,
    BatchRun, Live, line_id,
    lines::{Carried, Gathered, check_size},
    source::PartFile,
    state::{Part, PartStep},
};
use crate::{
    ChatRequest, Error,
    provider::{BatchApi, BatchLimits, Submission},
};
use unifiedai_transport::RequestBody;

impl BatchRun {
    /// Provides the request of the line that [`RunStep::Line`](super::RunStep::Line) requested.
    pub fn push(&mut self, request: &ChatRequest) {
        let Some(gathered) = self.gathered.as_mut().filter(|gathered| !gathered.is_ready) else {
            return;
        };
        let (line, index) = (gathered.next, gathered.part);
        let id = line_id(&self.state.run_id, line);
        let encoded = match self.provider.batch_api() {
            Some(api) => encode(&*api, &self.limits, &id, request),
            None => return,
        };
        match encoded {
            Ok(bytes) => self.add(Carried {
                line,
                model: request.model.clone(),
                bytes,
            }),
            Err(error) => {
                self.outcomes.push_back((line, ItemOutcome::Failed(error)));
                self.pass(index, line);
            }
        }
    }

    /// Skips the line that [`RunStep::Line`](super::RunStep::Line) requested: it has no request, or has its outcome already.
    pub fn skip_line(&mut self) {
        if let Some(gathered) = self.gathered.as_ref().filter(|gathered| !gathered.is_ready) {
            self.pass(gathered.part, gathered.next);
        }
    }

    /// Ends the input: there are no more lines.
    pub fn end_of_input(&mut self) {
        self.state.is_input_over = true;
        self.must_save = true;
        if let Some(mut gathered) = self.gathered.take() {
            self.close(&gathered);
            gathered.is_ready = true;
            if gathered.is_empty() {
                // The part needed its lines again, and the input no longer has them.
                self.end_lines(gathered.part, |_| ItemOutcome::Lost);
            } else {
                self.gathered = Some(gathered);
            }
        }
    }

    /// Starts to gather lines: again for a part that no longer has them in memory, or for a new part.
    pub(super) fn gather(&mut self) {
        if let Some(gathered) = &self.gathered {
            if self.part(gathered.part).is_some_and(Part::lacks_requests) {
                return;
            }
            // The provider refused the batch, or has its requests already.
            self.gathered = None;
        }
        let wants = |(part, live): (&Part, &Live)| {
            let needs_lines = match part.step {
                PartStep::Prepared => part.file.is_none(),
                PartStep::Submitting => {
                    self.limits.submission == Submission::Inline && !live.is_ambiguous
                }
                PartStep::Adding => !live.is_ambiguous,
                _ => false,
            };
            needs_lines && live.due <= self.now && !self.state.is_cancelled
        };
        let mut parts = self.state.parts.iter().zip(&self.live);
        let found = parts.position(|(part, live)| wants((part, live)));
        if let Some((index, part)) = found.and_then(|at| Some((at, self.state.parts.get_mut(at)?)))
        {
            if !part.is_closed {
                // The process ended while the part's lines were read. They are read again.
                part.end = part.first;
                part.holes.clear();
                self.state.lines = part.first;
            }
            let first = part.lines().next().unwrap_or(part.first);
            self.gathered = Some(Gathered::new(index, first));
            return;
        }
        let open = self
            .state
            .parts
            .iter()
            .filter(|part| part.is_open())
            .count();
        if !self.state.is_input_over && open < self.options.max_open.max(1) {
            self.begin_part();
        }
    }

    pub(super) fn begin_part(&mut self) {
        let index = self.state.parts.len();
        let first = self
            .carried
            .as_ref()
            .map_or(self.state.lines, |carried| carried.line);
        self.state.parts.push(Part {
            first,
            end: first,
            ..Part::default()
        });
        self.live.push(Live::default());
        self.gathered = Some(Gathered::new(index, first));
        if let Some(carried) = self.carried.take() {
            self.add(carried);
        }
    }

    /// Whether lines may still be added to a part.
    pub(super) fn is_new(&self, index: usize) -> bool {
        self.part(index).is_some_and(|part| !part.is_closed)
    }

    pub(super) fn add(&mut self, carried: Carried) {
        let is_new = self
            .gathered
            .as_ref()
            .is_some_and(|gathered| self.is_new(gathered.part));
        let limits = self.limits;
        let Some(gathered) = &mut self.gathered else {
            return;
        };
        let Some(part) = self.state.parts.get_mut(gathered.part) else {
            return;
        };
        if is_new && !gathered.has_room(part, &carried.model, carried.bytes.len(), &limits) {
            // The line becomes the first one of the next part.
            part.is_closed = true;
            gathered.is_ready = true;
            self.carried = Some(carried);
            return;
        }
        if gathered.is_empty() {
            part.model = carried.model;
        }
        let is_kept = self.source.is_none() || limits.submission != Submission::File;
        gathered.add(&carried.bytes, is_kept);
        let line = carried.line;
        self.advance(line, is_new);
    }

    /// Leaves a line out of its part.
    pub(super) fn pass(&mut self, index: usize, line: u64) {
        let is_new = self.is_new(index);
        if let Some(part) = self.part_mut(index) {
            part.add_hole(line);
        }
        self.advance(line, is_new);
    }

    /// Continues with the next line.
    pub(super) fn advance(&mut self, line: u64, is_new: bool) {
        let next = line.saturating_add(1);
        let limits = self.limits;
        let Some(gathered) = &mut self.gathered else {
            return;
        };
        let Some(part) = self.state.parts.get_mut(gathered.part) else {
            return;
        };
        if is_new {
            part.end = next;
            self.state.lines = next;
            gathered.next = next;
            gathered.is_ready = gathered.is_full(&limits);
            part.is_closed = gathered.is_ready;
            return;
        }
        match (next..part.end).find(|line| part.has(*line)) {
            Some(line) => gathered.next = line,
            None => gathered.is_ready = true,
        }
    }

    /// Closes a part to further lines. A part without lines is complete.
    pub(super) fn close(&mut self, gathered: &Gathered) {
        if let Some(part) = self.state.parts.get_mut(gathered.part) {
            part.is_closed = true;
            if part.count() == 0 {
                part.step = PartStep::Fetched;
            }
        }
    }

    /// The file of a part, if its lines are all gathered.
    pub(super) fn take_file(&mut self, index: usize) -> Option<RequestBody> {
        let Some(source) = self.source.clone() else {
            return self.take_lines(index).map(RequestBody::from);
        };
        let gathered = self.gathered.as_ref();
        let size = gathered
            .filter(|gathered| gathered.part == index && gathered.is_ready)?
            .size();
        self.gathered = None;
        let file = PartFile {
            provider: self.provider.clone(),
            run_id: self.state.run_id.clone(),
            source,
            part: self.part(index)?.clone(),
        };
        Some(file.into_body(size))
    }

    /// Takes the lines of a part out of memory, if they are all gathered.
    pub(super) fn take_lines(&mut self, index: usize) -> Option<bytes::Bytes> {
        let gathered = self.gathered.as_mut();
        let gathered = gathered.filter(|gathered| gathered.part == index && gathered.is_ready)?;
        let lines = gathered.take();
        self.gathered = None;
        Some(lines)
    }
}

fn encode(
    api: &dyn BatchApi,
    limits: &BatchLimits,
    id: &str,
    request: &ChatRequest,
) -> Result<Vec<u8>, Error> {
    request.validate()?;
    let line = api.encode_line(id, request)?;
    check_size(line.len(), limits)?;
    Ok(line)
}
