// ptp soak: as many generated cases of "same u, same tokens", or of "each text has its own probability", as one has patience for.
// Source: ExactnessSoak draws models, drafts, prompts, seeds and laws, LawSoak languages and drafters; case i is a function of seed + i.
// Refuses: to end with exit code 0 if a single token differed.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Soaks the decoders.</summary>
internal sealed class SoakVerb : Verb
{
    private readonly Option<int> _cases = Values.Whole("--cases", "Cases to run.", 10_000, 1);
    private readonly Option<ulong> _seed = Values.Seed("Seed of the first case; a failing case names its own.", 1);

    private readonly Option<bool> _family = Values.Switch(
        "--family", "The systems that PTP is compared with, in turn: training-free drafters, small models, heads of any weights.");

    private readonly Option<bool> _law = Values.Switch(
        "--law", "Law-exact systems instead: each case is a language of three tokens, all ways in which dice can fall are run.");

    public SoakVerb()
        : base(
            "soak",
            "Check exactness on generated cases: random models, good and adversarial drafts, prompts, seeds, temperatures, top-k "
            + "and top-p. Every token and the reason to stop must equal plain decoding's. All cores are used.",
            "ptp soak                                # 10,000 cases",
            "ptp soak --cases 100000 --seed 7",
            "ptp soak --cases 100000 --family        # every other system under the same contract",
            "ptp soak --cases 100000 --law           # laws of law-exact systems by enumeration, to 1e-12",
            "ptp soak --device gpu                   # the same on a GPU, one case after the other",
            "ptp soak --cases 1 --seed 12345         # replay one case")
    {
        Add(_cases);
        Add(_seed);
        Add(_family);
        Add(_law);
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        Guard.Require(!call.Get(_law) || !call.Get(_family), "Soak the decoders", "--law and --family", "one of them",
            "Run the command twice: --family for paths, --law for laws.");
        var (cases, gate) = (call.Get(_cases), new Lock());
        using var backend = call.Backend();
        using var bar = new Progress(call.Out.Host, "soak");
        void Done(int done)
        {
            lock (gate)
            {
                bar.Report(done, cases, Invariant($"{done} of {cases} cases"));
            }
        }

        var report = call.Get(_law)
            ? LawSoak.Run(call.Get(_seed), cases, Done, null, backend, call.Cancellation)
            : ExactnessSoak.Run(call.Get(_seed), cases, Done, call.Get(_family), backend, call.Cancellation);
        bar.Dispose();
        foreach (var failure in report.Failures)
        {
            call.Out.Line(failure);
        }

        var counted = call.Get(_law) ? "ways" : "tokens";
        call.Out.Line(Invariant($"{report.Cases} cases, {report.Tokens} {counted}, {report.Failures.Count} failures; {backend.Name}"));
        call.Out.Result(new JsonObject
        {
            ["device"] = backend.Name,
            ["cases"] = report.Cases,
            [counted] = report.Tokens,
            ["failures"] = new JsonArray([.. report.Failures.Select(f => (JsonNode)f)]),
        });
        return report.Failures.Count == 0 ? ErrorOutput.Done : ErrorOutput.Failed;
    }
}
