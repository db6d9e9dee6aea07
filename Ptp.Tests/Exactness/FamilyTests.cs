// The family's drafters under the decoder contract: same u, same tokens, same stop, whatever they draft; three lines each.
// Source: the drafters' own papers claim at most the greedy text; verified by u they give the sampled one as well.
// Not here: law-exact and greedy-exact rules (Verification/), what the drafters are (Drafters/).

using Ptp.Core.Decoding;
using Ptp.Reference.Commands;

namespace Ptp.Tests.Exactness;

public abstract class FamilyContract(FamilyKind kind) : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.Speculative(FamilyCase.Drafter(drawn, kind));
}

public sealed class PromptLookupTests() : FamilyContract(FamilyKind.PromptLookup);

public sealed class JacobiTests() : FamilyContract(FamilyKind.Jacobi);

public sealed class LookaheadTests() : FamilyContract(FamilyKind.Lookahead);

public sealed class RecyclingTests() : FamilyContract(FamilyKind.Recycling);

public sealed class RetrievalTests() : FamilyContract(FamilyKind.Retrieval);

public sealed class AutomatonTests() : FamilyContract(FamilyKind.Automaton);

public sealed class AutomatonOverRecyclingTests() : FamilyContract(FamilyKind.AutomatonOverRecycling);

public sealed class AutomatonOverPtpTests() : FamilyContract(FamilyKind.AutomatonOverPtp);

public sealed class ModelByUTests() : FamilyContract(FamilyKind.ModelByU);

public sealed class ModelByDiceTests() : FamilyContract(FamilyKind.ModelByDice);

public sealed class ModelTreeTests() : FamilyContract(FamilyKind.ModelTree);

public sealed class ChainTreeTests() : FamilyContract(FamilyKind.Chain);
