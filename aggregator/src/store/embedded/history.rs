//! What is not sealed of one node: for each lane and window class a chain of segments, as in the log.

use super::dictionary::Dictionary;
use super::layout::Layout;
use super::log::{FileNumber, Learned, Log, Pushed};
use super::record::{Base, Frame, Record};
use super::segment::{FRAMES_MAX, Segment};
use super::window::Span;
use crate::store::{FrameRecord, Lane, NewColumns, Origin, SeriesId, Ticket};
use quorate_common::cell::{Decoder, Index};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::Window;
use quorate_common::model::time::WallTime;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

const WINDOWS: [Window; 3] = [Window::Short, Window::Medium, Window::Long];

/// Everything that is kept of one node and not sealed.
#[derive(Debug)]
pub struct History {
    node: NodeId,
    pub(super) dictionary: Dictionary,
    closed: VecDeque<Arc<Segment>>,
    live: Stream,
    late: Stream,
}

/// One session under way.
#[derive(Debug, Default)]
struct Stream {
    /// One for each class.
    open: [Option<Segment>; 3],
    layout: Arc<Layout>,
}

impl History {
    /// That of a node that nothing is known of.
    pub fn new(node: NodeId) -> History {
        let (dictionary, closed, live, late) = Default::default();
        History { node, dictionary, closed, live, late }
    }

    /// Whose it is.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Lets go of everything; gives the number below which series are forgotten.
    pub fn forget(&mut self) -> SeriesId {
        self.begin(Lane::Live);
        self.begin(Lane::Late);
        self.closed.clear();
        let next = self.dictionary.next();
        self.dictionary.forget(next);
        next
    }

    /// A new session.
    pub fn begin(&mut self, lane: Lane) {
        for window in WINDOWS {
            self.close(lane, window);
        }
        self.stream(lane).layout = Arc::default();
    }

    fn stream(&mut self, lane: Lane) -> &mut Stream {
        match lane {
            Lane::Live => &mut self.live,
            Lane::Late => &mut self.late,
        }
    }

    fn open(&self) -> impl Iterator<Item = &Segment> {
        [&self.live, &self.late].into_iter().flat_map(|stream| stream.open.iter().flatten())
    }

    /// Columns begin.
    pub fn register(&mut self, lane: Lane, new: &NewColumns, log: Option<&Log>) {
        Arc::make_mut(&mut self.stream(lane).layout).register(new);
        let record = |node, place| Record::Register { node, lane, place, new: new.clone() };
        self.follow(lane, log, record, |open| open.register(new));
    }

    /// Columns end.
    pub fn retire(&mut self, lane: Lane, indices: &[Index], log: Option<&Log>) {
        Arc::make_mut(&mut self.stream(lane).layout).retire(indices);
        let record = |node, place| Record::Retire { node, lane, place, indices: indices.to_vec() };
        self.follow(lane, log, record, |open| open.retire(indices));
    }

    /// Every open segment goes on with a record; one whose file is over ends.
    fn follow(
        &mut self,
        lane: Lane,
        log: Option<&Log>,
        record: impl Fn(NodeId, u64) -> Record<'static>,
        mut push: impl FnMut(&mut Segment),
    ) {
        let node = self.node;
        for window in WINDOWS {
            let Some(open) = &mut self.stream(lane).open[place(window)] else { continue };
            let taken = match log.filter(|_| open.number > 0) {
                Some(log) => log.push((open.span, open.number), &record(node, open.place()), None),
                None => Pushed::Taken(Ticket::default()),
            };
            if matches!(taken, Pushed::Taken(_)) { push(open) } else { self.close(lane, window) }
        }
    }

    /// A frame was decoded; `decoder` is the state after it. Whether the log took it.
    pub fn frame(
        &mut self,
        (lane, origin): (Lane, Option<Origin>),
        record: FrameRecord<'_>,
        decoder: &Decoder,
        log: Option<&Log>,
    ) -> bool {
        let FrameRecord { at, head, groups, cells, again } = record;
        // Nothing on disk is finer, so nothing in memory is.
        let at = WallTime(at.0.div_euclid(1_000_000) * 1_000_000);
        let frame = Frame { node: self.node, lane, at, head, origin, again, groups, cells };
        let (span, window) = (Span::of(head.window, at), head.window);
        let stream = self.stream(lane);
        if stream.open[place(window)]
            .as_ref()
            .is_some_and(|open| open.span != span || open.frames >= FRAMES_MAX)
        {
            self.close(lane, window);
        }
        if let Some(open) = &mut self.stream(lane).open[place(window)] {
            let place = open.place();
            let taken = match log.filter(|_| open.number > 0) {
                Some(log) => log.push((span, open.number), &Record::Frame { place, frame }, learned(&frame)),
                None => Pushed::Taken(Ticket::default()),
            };
            if let Pushed::Taken(batch) = taken {
                open.push(&frame, batch);
                return log.is_none() || open.number > 0;
            }
            self.close(lane, window);
        }
        let stream = self.stream(lane);
        let begun = begin(span, frame, &stream.layout, decoder, log);
        let is_taken = begun.as_ref().is_some_and(|open| log.is_none() || open.number > 0);
        stream.open[place(window)] = begun;
        is_taken
    }

    fn close(&mut self, lane: Lane, window: Window) {
        if let Some(mut segment) = self.stream(lane).open[place(window)].take() {
            segment.end();
            self.closed.push_back(Arc::new(segment));
        }
    }

    /// A segment as a log file has it.
    pub fn restore(&mut self, segment: Segment) {
        self.closed.push_back(Arc::new(segment));
    }

    /// Lets go of segments that ended before `before` and lie in a file that is not there.
    pub fn let_go(&mut self, before: WallTime, is_unlogged: &dyn Fn(FileNumber) -> bool) {
        self.closed.retain(|segment| segment.last >= before || !is_unlogged(segment.number));
    }

    /// Lets go of segments that ended before `before`, and of series that stand in none.
    pub fn expire(&mut self, before: WallTime) {
        self.closed.retain(|segment| segment.last >= before);
        for open in self.live.open.iter_mut().chain(&mut self.late.open) {
            open.take_if(|open| open.last < before);
        }
        let kept = self.named();
        self.dictionary.expire(WallTime(i64::MAX), &kept);
    }

    /// The series of everything here.
    pub fn named(&self) -> HashSet<SeriesId> {
        let closed = self.closed.iter().flat_map(|segment| segment.columns());
        let open = self.open().flat_map(Segment::columns);
        let begun = self.live.layout.columns.iter().chain(&self.late.layout.columns).copied();
        closed.chain(open).chain(begun).filter_map(|column| column.id).collect()
    }

    /// The segments that touch a stretch of time, oldest first.
    pub fn segments(&self, from: WallTime, to: WallTime) -> Vec<Arc<Segment>> {
        let touches = |segment: &Segment| segment.first <= to && segment.last >= from;
        let open = self.open().filter(|open| touches(open)).map(|open| Arc::new(open.clone()));
        self.closed.iter().filter(|segment| touches(segment)).cloned().chain(open).collect()
    }

    /// The windows of everything that lies in log files, and how many frames each has.
    pub fn spans(&self) -> impl Iterator<Item = (Span, usize)> {
        let all = self.closed.iter().map(|segment| &**segment).chain(self.open());
        all.filter(|segment| segment.number > 0).map(|segment| (segment.span, segment.frames))
    }

    /// Files lack a batch and all after it: that stays for readers, as something that no file has.
    pub fn fail(&mut self, files: &[FileNumber], batch: Ticket) {
        for (lane, window) in
            [Lane::Live, Lane::Late].into_iter().flat_map(|lane| WINDOWS.map(|it| (lane, it)))
        {
            let open = self.stream(lane).open[place(window)].as_ref();
            if open.is_some_and(|open| files.contains(&open.number)) {
                self.close(lane, window);
            }
        }
        let mut left = Vec::new();
        for segment in self.closed.iter_mut().filter(|segment| files.contains(&segment.number)) {
            if let Some(before) = segment.before(batch) {
                let mut whole = Arc::unwrap_or_clone(std::mem::replace(segment, Arc::new(before)));
                whole.number = 0;
                left.push(Arc::new(whole));
            }
        }
        self.closed.extend(left);
    }

    /// Ends what is open of a window, and gives all of it that lies in log files below a number.
    pub fn ripe(&mut self, span: Span, below: FileNumber) -> Vec<Arc<Segment>> {
        let is_ripe = |segment: &Segment| segment.span == span && (1..below).contains(&segment.number);
        for lane in [Lane::Live, Lane::Late] {
            if self.stream(lane).open[place(span.window)].as_ref().is_some_and(&is_ripe) {
                self.close(lane, span.window);
            }
        }
        self.closed.iter().filter(|segment| is_ripe(segment)).cloned().collect()
    }

    /// Lets go of these.
    pub fn release(&mut self, sealed: &[Arc<Segment>]) {
        self.closed.retain(|segment| !sealed.iter().any(|other| Arc::ptr_eq(segment, other)));
    }
}

fn learned(frame: &Frame<'_>) -> Option<Learned> {
    let origin = frame.origin.filter(|_| !frame.again)?;
    Some(Learned::Frame(frame.node, frame.head.seq, origin))
}

/// A segment that begins with this frame, in whichever file takes it; in none if there is no room.
fn begin(
    span: Span,
    frame: Frame<'_>,
    layout: &Arc<Layout>,
    decoder: &Decoder,
    log: Option<&Log>,
) -> Option<Segment> {
    // Layout and decoder were told the same. If they were not, no one could read the frame later.
    let cells = layout.key_frame(span.window, decoder.row()).ok()?;
    let base = Base { frame: Frame { cells: &cells, ..frame }, layout: layout.clone() };
    let Some(log) = log else { return Some(Segment::begin(span, (0, Ticket::default()), &base)) };
    let record = Record::Base(base.clone());
    loop {
        let number = log.number(span);
        match log.push((span, number), &record, learned(&frame)) {
            Pushed::Taken(batch) => return Some(Segment::begin(span, (number, batch), &base)),
            Pushed::Full => return Some(Segment::begin(span, (0, Ticket::default()), &base)),
            // The file ended between the two calls.
            Pushed::Stale => {}
        }
    }
}

fn place(window: Window) -> usize {
    match window {
        Window::Short => 0,
        Window::Medium => 1,
        Window::Long => 2,
    }
}
