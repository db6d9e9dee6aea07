// What drafts of trips are worth: the leading tokens that equal the base's own under the same u, context by context.
//   correct = leading k with d_k = t_k; contexts of 1 to 23 zones that the base wrote itself, then N tokens from fresh u
// Shared by the studies of trips. Refuses: nothing.

using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Reference.Studies;

/// <summary>Drafts measured against the base.</summary>
internal static class TripDrafts
{
    /// <summary>Contexts of a measurement, unless a study says otherwise.</summary>
    public const int Contexts = 1500;

    /// <summary>Correct tokens of a draft of all slots in each context, [contexts].</summary>
    /// <param name="space">For its cancellation.</param>
    /// <param name="teacher">The base.</param>
    /// <param name="ptp">Slots of any kind, distilled from it.</param>
    /// <param name="contexts">How many.</param>
    public static int[] Correct(StudySpace space, Transformer teacher, SlotModel ptp, int contexts)
    {
        var right = new int[contexts];
        var plain = new Autoregressive(teacher, ptp.Law, ptp.Rule);
        var session = new ModelSession(teacher, ptp.Law, ptp.Rule);
        var isStudentOfLaws = ptp is { Reading: SlotReading.Categorical, SharesBase: false };
        var (drafter, inversion) = isStudentOfLaws ? ((IDrafter?)null, new Inversion(ptp)) : (ptp.NewDrafter(), null);
        for (var i = 0; i < contexts; i++)
        {
            space.Cancellation.ThrowIfCancellationRequested();
            var prompt = Context(plain, ptp.Rule, i);
            var u = Auxiliaries.FromSeed(800_000 + (ulong)i, ptp.NumbersPerToken);
            var truth = plain.Decode(prompt, u, new DecodeLimits(ptp.Slots, [])).Tokens;
            // Behind a categorical draft stands the base's own row, whose law is exact: its first token needs no slot.
            var draft = drafter is not null ? Drafted(drafter, session, prompt, u) : [truth[0], .. Sampled(inversion!, prompt, u, ptp)[1..]];
            right[i] = draft.Zip(truth).TakeWhile(t => t.First == t.Second).Count();
        }

        return right;
    }

    /// <summary>The same for any drafter of the base's law, whose first token is replaced by the base's own.</summary>
    public static int[] Correct(StudySpace space, Transformer teacher, PickRule rule, IDrafter drafter, int contexts)
    {
        var right = new int[contexts];
        var plain = new Autoregressive(teacher, TripModels.Law, rule);
        var session = new ModelSession(teacher, TripModels.Law, rule);
        for (var i = 0; i < contexts; i++)
        {
            space.Cancellation.ThrowIfCancellationRequested();
            var prompt = Context(plain, rule, i);
            var u = Auxiliaries.FromSeed(800_000 + (ulong)i, rule.NumbersPerToken(TripLanguage.Vocabulary));
            var truth = plain.Decode(prompt, u, new DecodeLimits(drafter.Slots, [])).Tokens;
            right[i] = 1 + Drafted(drafter, session, prompt, u).Skip(1).Zip(truth.Skip(1)).TakeWhile(t => t.First == t.Second).Count();
        }

        return right;
    }

    /// <summary>Mean correct tokens of a draft of N.</summary>
    public static double Mean(int[] correct, int horizon) => correct.Average(c => (double)Math.Min(c, horizon));

    /// <summary>A context that the base wrote.</summary>
    public static int[] Context(Autoregressive plain, PickRule rule, int index) =>
    [
        TripLanguage.Begin,
        .. plain.Decode(
            [TripLanguage.Begin], Auxiliaries.FromSeed(900_000 + (ulong)index, rule.NumbersPerToken(TripLanguage.Vocabulary)), new DecodeLimits(1 + index % 23, [])).Tokens,
    ];

    private static int[] Drafted(IDrafter drafter, ModelSession session, int[] prompt, Auxiliaries u)
    {
        session.Start(prompt);
        drafter.Start(prompt);
        return drafter.Propose(session, u, 0, drafter.Slots).Tokens.ToArray();
    }

    private static int[] Sampled(Inversion inversion, int[] prompt, Auxiliaries u, SlotModel ptp)
    {
        var texts = new SplitTexts([[.. prompt, .. new int[ptp.Slots]]], [prompt.Length]);
        return inversion.Sample(texts, [.. from g in Enumerable.Range(0, ptp.Slots) from j in Enumerable.Range(0, ptp.NumbersPerToken) select u.At(g, j)]);
    }
}
