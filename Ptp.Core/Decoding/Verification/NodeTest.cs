// What a rule makes of one node: its children are tried in turn against the law behind it; the first that stands is followed, else
// the rule names the token itself. Chains and trees, one child or many, all decoders that verify by a rule come through here.
// Refuses: nothing. Not here: the walk along nodes, and rules under which several siblings stand (TreeDecoding).

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Verification;

/// <summary>Tries children.</summary>
/// <param name="rule">When a child stands.</param>
/// <param name="session">The text, after a verifying call.</param>
internal sealed class NodeTest(VerificationRule rule, ModelSession session)
{
    private readonly LogitsTransform? _raw =
        rule.ReadsRawLaw ? new LogitsTransform(new SamplingOptions(), session.Model.Config.VocabularySize) : null;

    private readonly float[] _rawLaw = rule.ReadsRawLaw ? new float[session.Model.Config.VocabularySize] : [];
    private readonly NodeLaws? _laws = rule.ReadsRest ? new NodeLaws(session.Model.Config.VocabularySize) : null;
    private int _row;
    private int _place;
    private int _picked;
    private int _refused;
    private float _u;

    /// <summary>Begins a node.</summary>
    /// <param name="row">Row of the last call whose law it is.</param>
    /// <param name="place">Draft tokens before its children.</param>
    /// <param name="u">Auxiliaries.</param>
    /// <param name="g">Index of the first draft token: that of the children is this and the place.</param>
    /// <param name="proposal">q, the law its children were drawn from, or empty.</param>
    public void Start(int row, int place, Auxiliaries u, long g, ReadOnlySpan<float> proposal)
    {
        (_row, _place, _u, _refused) = (row, place, u.At(g + place, 0), -1);
        _picked = rule.ReadsPick ? session.Pick(row, u, g + place) : -1;
        _laws?.Start(session.Law(row), proposal);
        _raw?.ToLaw(session.Logits(row), _rawLaw);
    }

    /// <summary>True if the child stands; if not, the next one is judged by what is left.</summary>
    public bool Accepts(int token, float confidence)
    {
        if (rule.Accepts(Trial(token, confidence)) || _laws?.Refuse(token) == false)
        {
            return true;
        }

        _refused = token;
        return false;
    }

    /// <summary>The token to commit when no child stands.</summary>
    public int Replacement() => rule.Replacement(Trial(_refused, 0));

    private Trial Trial(int token, float confidence) => new()
    {
        Token = token,
        Place = _place,
        Law = session.Law(_row),
        RawLaw = _rawLaw,
        Picked = _picked,
        U = _u,
        Confidence = confidence,
        Rest = _laws is null ? default : _laws.Rest,
        Proposal = _laws is null ? default : _laws.Proposal,
        Dice = session.Dice,
    };
}
