// What goes wrong in ways that need an argument: split votes, partitions, old entries, members.

const SLOW = 5;

/** Who has stood for election in the same term since the leader was paused: the most of them. */
function candidatesOf(stage) {
  stage.kept.paused_us ??= stage.from_us;
  const byTerm = new Map();
  for (const event of stage.model.events) {
    const stands = event.event === 'vote_asked' && !event.pre_vote;
    if (!stands || event.at_us < stage.kept.paused_us) continue;
    byTerm.set(event.for_term, (byTerm.get(event.for_term) ?? new Set()).add(event.node));
  }
  return [...byTerm.values()].reduce((most, one) => (one.size > most.size ? one : most), new Set());
}

/** Whether another node leads than the one that was paused. */
function isReplaced(stage) {
  return Boolean(stage.leader) && stage.leader !== stage.kept.away && stage.term > stage.kept.term;
}

const splitVote = {
  name: 'split-vote',
  title: 'A split vote',
  about: 'Two nodes stand for election in one term, neither wins, and chance decides the next '
    + 'round.',
  end: 'Split votes cannot be forbidden, only made rare: timers are drawn at random each time, so '
    + 'soon one node is first. Until then nobody leads, and nothing is acknowledged wrongly.',
  steps: [
    {
      title: 'Two nodes that hear each other late',
      text: (stage) => `Node ${stage.kept.away ?? stage.leader}, the leader, is to stand still. `
        + 'What the two others say to each other arrives late, so that both may ask before either '
        + 'hears of the other.',
      act: async (stage) => {
        if (stage.leader === stage.own) await stage.lead(stage.others[0]);
        await stage.until(() => stage.leader && stage.leader !== stage.own, 5_000);
        stage.kept.away = stage.leader;
        stage.kept.term = stage.term;
        await stage.slowDown(SLOW);
        const rest = stage.up.map((node) => node.id).filter((id) => id !== stage.kept.away);
        const ms = Math.round(stage.timeout_ms * 0.45);
        for (const [place, id] of rest.entries()) {
          for (const other of rest.slice(place + 1)) {
            await stage.do('delay', { node: id, other, ms }, true);
          }
        }
      },
      what: 'slow links between those that are left',
      until: (stage) => (stage.model.state.links ?? []).some((link) => link.delay_ms > 0),
    },
    {
      title: 'The leader stands still',
      text: (stage) => `Node ${stage.kept.away} is paused. The arcs of the others run out, perhaps `
        + 'almost together, and each asks for votes.',
      act: (stage) => stage.do('pause', { node: stage.kept.away }),
      what: (stage) => (candidatesOf(stage).size > 1 ? 'two candidates in one term'
        : 'nodes that ask for votes'),
      until: (stage) => candidatesOf(stage).size > 1 || isReplaced(stage),
      within_ms: 30_000,
    },
    {
      title: 'One vote for each node and term',
      text: (stage) => (candidatesOf(stage).size > 1
        ? `Nodes ${[...candidatesOf(stage)].join(' and ')} stood in the same term, and each gave `
          + 'its one vote to itself. Both refuse the other: nobody has a majority.'
        : 'This time one node was early enough to have the vote of the other before that asked '
          + 'itself, so the vote was not split: that is chance, too. Play it again to see the '
          + 'other case.'),
      what: (stage) => (candidatesOf(stage).size > 1 ? 'a refused vote' : 'a vote that was given'),
      until: (stage) => stage.model.events.some((event) => event.at_us >= stage.kept.paused_us
        && (event.event === 'vote_refused' || event.event === 'vote_given')),
      within_ms: 15_000,
    },
    {
      title: 'Another round',
      text: (stage) => (isReplaced(stage)
        ? `New timers, drawn anew: node ${stage.leader} was first, and leads in term `
          + `${stage.term}. The election cost ${stage.term - stage.kept.term} `
          + `term${stage.term - stage.kept.term === 1 ? '' : 's'}.`
        : 'Both draw new times at random. Delays go, so that the first is heard in time.'),
      act: (stage) => stage.do('heal', {}, true),
      what: 'a leader',
      until: isReplaced,
      within_ms: 30_000,
    },
    {
      title: 'The paused node wakes',
      text: (stage) => `Node ${stage.kept.away} still believes that it leads, until the first `
        + 'answer tells it of the later term. Nobody has acknowledged anything to it meanwhile.',
      act: (stage) => stage.do('resume', {}, true),
      what: (stage) => `node ${stage.kept.away} follows`,
      until: (stage) => stage.node(stage.kept.away)?.role === 'follower',
    },
  ],
};

const partition = {
  name: 'partition',
  title: 'Partition of a minority',
  about: 'A leader is cut off with a write in hand. The majority goes on without it.',
  end: 'One side of any partition has no majority, and that side acknowledges nothing. So there '
    + 'is never a second truth to be merged: an entry that was not committed may go, one that '
    + 'was stays.',
  steps: [
    {
      title: 'The leader is cut off',
      text: (stage) => `Node ${stage.own}, which serves this page, is made the leader, and then `
        + 'every link to it is cut. For a moment it goes on to believe that it leads.',
      act: async (stage) => {
        await stage.lead(stage.own);
        await stage.until(() => stage.leader === stage.own, 5_000);
        stage.kept.term = stage.term;
        stage.kept.last = stage.value(stage.own, 'raft/last') ?? 0;
        await stage.slowDown(SLOW);
        await stage.cutOff(stage.own);
        stage.write('from-the-minority', 'not acknowledged');
      },
      what: 'a leader that nobody hears',
      until: (stage) => (stage.model.state.links ?? []).some((link) => link.cut),
    },
    {
      title: 'A write on the wrong side',
      text: (stage) => `The page has put a key at node ${stage.own}. It stands in its log, `
        + 'outlined: no majority can have it, so the page gets no answer.',
      what: 'an entry that is not committed',
      until: (stage) => {
        const log = stage.node(stage.own)?.log;
        return log && log.last > log.commit;
      },
    },
    {
      title: 'The majority elects',
      text: (stage) => (stage.kept.next
        ? `Node ${stage.kept.next} leads the others in term `
          + `${stage.node(stage.kept.next)?.term}. Its log `
          + 'goes on where the other has an entry of the old term: the colours differ.'
        : 'The others hear no leader and elect one in a later term.'),
      what: 'a leader of the majority',
      until: (stage) => {
        const next = stage.up.find((node) => node.role === 'leader' && node.id !== stage.own
          && node.term > stage.kept.term);
        stage.kept.next = next?.id;
        return Boolean(next);
      },
      within_ms: 30_000,
    },
    {
      title: 'The old leader gives up',
      text: (stage) => `Node ${stage.own} has not heard from a majority for an election timeout. `
        + 'It stops being a leader rather than leaving its clients in doubt.',
      what: (stage) => `node ${stage.own} leads no more`,
      until: (stage) => stage.node(stage.own)?.role !== 'leader',
      within_ms: 20_000,
    },
    {
      title: 'One log again',
      text: (stage) => 'The links are back. The entry of the old term gives way to those of the '
        + `new leader. What became of the write: ${fateOf(stage.kept['from-the-minority'])}.`,
      act: (stage) => stage.do('heal', {}, true),
      what: 'the same log on every node',
      until: (stage) => stage.leader && sameEnd(stage)
        && stage.kept['from-the-minority']?.state !== 'sent',
      within_ms: 25_000,
    },
  ],
};

/** What the page knows of a write that it has sent. */
function fateOf(fate) {
  if (!fate || fate.state === 'sent') return 'no answer yet';
  return fate.state === 'done'
    ? `it was sent again to the new leader and acknowledged only now, at ${fate.text}`
    : `it was not acknowledged (${fate.text})`;
}

/** Whether every node that answers has the same last entry, of the same term. */
function sameEnd(stage) {
  const ends = stage.up.map((node) => (node.log?.entries?.at(-1) ?? []).slice(0, 2).join('/'));
  return stage.up.every((node) => node.log?.commit === node.log?.last)
    && ends.every((end) => end === ends[0]);
}

const figureEight = {
  name: 'figure-8',
  title: 'Figure 8: old entries',
  about: 'An entry of an old term lies on a majority and does not count yet. Why not?',
  end: 'Figure 8 of the Raft paper: an entry of an earlier term may lie on a majority and still be '
    + 'replaced by a leader whose last entry is of a later term. So a leader counts copies of '
    + 'entries of its own term only; the old ones are committed along with the first of those. '
    + 'The replacement itself cannot be forced on a live cluster at will; the rule that prevents '
    + 'it is what you saw.',
  steps: [
    {
      title: 'Deaf to acknowledgements',
      text: (stage) => `Node ${stage.own} leads. It can still speak to ${friendsOf(stage)}, but `
        + 'hears nobody: the way back is cut, and so are all its other links.',
      act: async (stage) => {
        await stage.lead(stage.own);
        await stage.until(() => stage.leader === stage.own, 5_000);
        // With the leader they are just a majority, so that nobody else can win without them.
        stage.kept.friends = stage.others.slice(0, Math.floor(stage.model.voters().length / 2));
        stage.kept.term = stage.term;
        await stage.slowDown(SLOW);
        const ids = stage.model.nodes().map((node) => node.id);
        for (const id of ids) {
          if (id === stage.own) continue;
          if (stage.kept.friends.includes(id)) await stage.cut(id, stage.own, true);
          else await stage.cut(stage.own, id);
        }
        stage.write('of-an-old-term', 'when does this count?');
      },
      what: 'links that are cut',
      until: (stage) => (stage.model.state.links ?? []).some((link) => link.cut),
    },
    {
      title: 'An entry on a majority',
      text: (stage) => `The page puts a key. The entry is on the disks of node ${stage.own} and `
        + `${friendsOf(stage)}, which is a majority, but the acknowledgement is lost. The leader `
        + 'does not know, so the entry stays outlined.',
      what: 'the same uncommitted entry on a majority',
      until: (stage) => {
        const open = [stage.own, ...stage.kept.friends]
          .map((id) => openEntry(stage, id, stage.kept.term));
        stage.kept.index ??= open.every(Boolean) ? open[0][0] : undefined;
        return stage.kept.index !== undefined;
      },
    },
    {
      title: 'The term ends',
      text: (stage) => (stage.kept.next
        ? `Node ${stage.kept.next} is elected in a later term. It has the entry, because nobody `
          + 'without it is as new. Links to it are slow now.'
        : 'The leader hears from no majority and gives up; the others elect.'),
      act: async (stage) => {
        const ms = Math.round(stage.timeout_ms * 0.35);
        const rest = stage.model.nodes().map((node) => node.id).filter((id) => id !== stage.own);
        for (const [place, node] of rest.entries()) {
          for (const other of rest.slice(place + 1)) {
            await stage.do('delay', { node, other, ms }, true);
          }
        }
      },
      what: 'a leader in a later term',
      until: (stage) => {
        const next = stage.up.find((node) => node.role === 'leader' && node.id !== stage.own
          && node.term > stage.kept.term);
        stage.kept.next = next?.id;
        return Boolean(next);
      },
      within_ms: 40_000,
    },
    {
      title: 'Old and new together',
      text: 'The new leader does not count the copies of the old entry, however many there are. It '
        + 'appends an empty entry of its own term (∅). When a majority has that, it is committed, '
        + 'and the old entry before it with it.',
      what: 'both entries committed',
      until: (stage) => (stage.node(stage.kept.next)?.log?.commit ?? 0) > (stage.kept.index ?? 0),
      within_ms: 30_000,
    },
    {
      title: 'The write is answered',
      text: (stage) => `All links are whole, node ${stage.own} follows and learns that its write `
        + `is committed. For the page: ${fateOf(stage.kept['of-an-old-term'])}.`,
      act: (stage) => stage.do('heal', {}, true),
      what: 'the same log on every node',
      until: (stage) => stage.leader && sameEnd(stage)
        && stage.kept['of-an-old-term']?.state !== 'sent',
      within_ms: 25_000,
    },
  ],
};

function friendsOf(stage) {
  const { friends } = stage.kept;
  if (!friends) return 'some nodes';
  return friends.length === 1 ? `node ${friends[0]}` : `nodes ${friends.join(' and ')}`;
}

/** The first entry of a term that a node has and has not committed. */
function openEntry(stage, id, term) {
  const log = stage.node(id)?.log;
  return log?.entries.find(([index, of]) => index > log.commit && of === term);
}

const members = {
  name: 'members',
  title: 'Change of members',
  about: 'Two nodes join while the cluster runs: first they learn, then they vote.',
  end: 'A change of members is an entry like any other, so every node agrees on when it happens. '
    + 'During a joint change both majorities must agree, the old and the new one, so there is '
    + 'never a moment with two leaders.',
  steps: [
    {
      title: 'A fourth node',
      text: (stage) => `A node is started and asks to be taken in${stage.kept.first
        ? `: node ${stage.kept.first}` : ''}. It gets the log and votes for nobody yet: a learner.`,
      act: async (stage) => {
        stage.kept.voters = stage.model.voters().length;
        stage.kept.first = await stage.add();
      },
      what: 'a learner',
      until: (stage) => Boolean(stage.node(stage.kept.first)),
      within_ms: 20_000,
    },
    {
      title: 'It catches up',
      text: (stage) => `Node ${stage.kept.first} has applied what the others have. It stays a `
        + 'learner: four voters would survive no more losses than three, only need one more '
        + 'answer.',
      what: 'a learner that is level',
      until: (stage) => {
        const node = stage.node(stage.kept.first);
        const commit = stage.value(stage.leader, 'raft/commit') ?? Infinity;
        return (node?.values?.['raft/applied'] ?? 0) >= commit;
      },
      within_ms: 20_000,
    },
    {
      title: 'A fifth node',
      text: 'With another one there can be five voters, of which two may be away. Both are '
        + 'promoted in one joint change (C in the logs).',
      act: async (stage) => {
        stage.kept.second = await stage.add();
      },
      what: 'two more voters',
      until: (stage) => stage.model.voters().length >= stage.kept.voters + 2,
      within_ms: 30_000,
    },
    {
      title: 'And back again',
      text: 'Both are removed. Their numbers are never used again, so nobody can be mistaken for '
        + 'them.',
      act: async (stage) => {
        for (const id of [...stage.added]) {
          await stage.do('remove', { node: id });
          stage.added = stage.added.filter((one) => one !== id);
        }
      },
      what: 'the members of before',
      until: (stage) => stage.model.voters().length === stage.kept.voters
        && stage.model.nodes().length === stage.kept.voters,
      within_ms: 30_000,
    },
  ],
};

export const HARD_ONES = [splitVote, partition, figureEight, members];
