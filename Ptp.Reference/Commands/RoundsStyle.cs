// The style of the page of rounds: colours for light and dark, and a layout that fits a phone and a wide screen.
// Kinds of tokens differ by colour and by their border too, for readers who do not tell the colours apart.
// Refuses: fonts, pictures and scripts from elsewhere. It holds no markup characters, so that it means the same in HTML and XML.

namespace Ptp.Reference.Commands;

/// <summary>CSS.</summary>
internal static class RoundsStyle
{
    /// <summary>The whole style sheet.</summary>
    public const string Css = """

        :root { color-scheme: light dark; --page: #ffffff; --ink: #1b1b1b; --dim: #5f6368; --line: #dcdcdc; --track: #d9d9d9;
          --accepted: #14652a; --accepted-bg: #d7f2de; --corrected: #7a4100; --corrected-bg: #ffe6c4;
          --bonus: #0b4a86; --bonus-bg: #d9ebff; --rejected: #a3181f; --mark: #000000; }
        @media (prefers-color-scheme: dark) { :root { --page: #15171a; --ink: #e8e8e8; --dim: #a2a8ae; --line: #33373c; --track: #3b4046;
          --accepted: #9be5ae; --accepted-bg: #173f23; --corrected: #ffc98a; --corrected-bg: #4a2f0d;
          --bonus: #a6d0ff; --bonus-bg: #14365c; --rejected: #ff9a9a; --mark: #ffffff; } }
        * { box-sizing: border-box; }
        body { margin: 0 auto; padding: 1rem; max-width: 78rem; background: var(--page); color: var(--ink);
          font: 1rem/1.4 system-ui, sans-serif; }
        h1 { font-size: 1.3rem; margin: 0 0 .6rem; }
        h2 { font-size: 1.1rem; margin: 1.2rem 0 .4rem; }
        dl { display: flex; flex-wrap: wrap; gap: .5rem 1.4rem; margin: 0 0 .8rem; }
        dl div { max-width: 100%; }
        dt { color: var(--dim); font-size: .75rem; }
        dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
        .legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; color: var(--dim); font-size: .8rem; margin: 0 0 .8rem;
          padding: 0; list-style: none; }
        .legend .token, .legend .branch { margin: 0 .35rem 0 0; }
        .round { display: grid; grid-template: auto 1fr / 11rem 1fr; gap: .1rem .8rem; padding: .5rem 0;
          border-top: 1px solid var(--line); }
        .what { color: var(--dim); font-size: .75rem; }
        .what b { color: var(--ink); font-size: .95rem; }
        .context { grid-column: 1; color: var(--dim); font-size: .85rem; overflow-wrap: anywhere; white-space: pre-wrap; }
        .slots { grid-column: 2; grid-row: 1 / span 2; display: grid; gap: .5rem;
          grid-template-columns: repeat(auto-fill, minmax(7.6rem, 1fr)); align-items: end; }
        .dropped { grid-column: 1 / -1; }
        .ahead { color: var(--dim); font-size: .75rem; }
        .branch { display: inline-block; margin-left: .35rem; padding: 0 .3rem; border: 1px solid var(--line); border-radius: .3rem; }
        .branch.true { color: var(--accepted); border-color: var(--accepted); }
        .tree, .tree ul { list-style: none; margin: 0; padding-left: 1rem; border-left: 1px solid var(--line); }
        .slot { display: flex; flex-direction: column; align-items: flex-start; min-width: 0; }
        .slot .token { max-width: 100%; }
        .token { display: inline-block; padding: 0 .35rem; border: 1px solid transparent; border-radius: .3rem; font-size: .9rem;
          line-height: 1.5; white-space: pre-wrap; overflow-wrap: anywhere; }
        .token.accepted { color: var(--accepted); background: var(--accepted-bg); }
        .token.corrected { color: var(--corrected); background: var(--corrected-bg); border-color: var(--corrected); }
        .token.bonus { color: var(--bonus); background: var(--bonus-bg); border: 1px dashed var(--bonus); }
        .token.plain { border-color: var(--line); }
        .token.rejected { color: var(--rejected); }
        .token.discarded { color: var(--dim); }
        .token.unchecked { color: var(--dim); border: 1px dotted var(--dim); }
        .slot svg { display: block; overflow: visible; width: 100%; max-width: 11rem; margin-top: .2rem; }
        .track { fill: var(--track); }
        .at.accepted { fill: var(--accepted); }
        .at.corrected { fill: var(--corrected); }
        .at.bonus { fill: var(--bonus); }
        .at.plain { fill: var(--dim); }
        .not { fill: none; stroke: var(--rejected); }
        .mark { fill: var(--mark); }
        .u, .cell { font: .7rem/1.3 ui-monospace, monospace; color: var(--dim); }
        .u { color: var(--ink); }
        .text { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
        .prompt { color: var(--dim); }
        @media (max-width: 45rem) {
          body { padding: .7rem; }
          .round { grid-template: none / 1fr; }
          .slots { grid-column: 1; grid-row: auto; margin-top: .3rem; }
        }

        """;
}
