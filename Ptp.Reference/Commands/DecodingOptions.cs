// The options that say how to decode: model, adapter, sampling law, seed, lengths; shared by demo, generate and eval.
// What is left out comes from the adapter (its law, its slots), else temperature 0.7, top-p 0.9.
// Refuses: an adapter of another base; another law than the adapter's, unless --allow-other-law (exact, but slower).

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Reference.Commands;

/// <summary>Options of decoding.</summary>
/// <param name="maxNew">Default of --max-new.</param>
/// <param name="paying">True if drafts are as long as pays unless --slots says otherwise; false: as long as the adapter can.</param>
/// <param name="always">True to draft even where plain calls are faster, as a demonstration must.</param>
internal sealed class DecodingOptions(int maxNew, bool paying, bool always = false)
{
    private const double DefaultTemperature = 0.7;
    private const double DefaultTopP = 0.9;
    private readonly Option<string?> _model = Values.Text(
        "--model", "Model folder (config.json and safetensors, as on Hugging Face). Default: models/base.", "FOLDER");

    private readonly Option<string?> _tokenizer = Values.Text(
        "--tokenizer", "Tokenizer, where the model's folder has none: tokenizer.json, or a tokenizer.bin of llama2.c.", "FILE");

    private readonly Option<string?> _adapter = Values.Text(
        "--adapter", "PTP adapter folder, or 'none'. Default: models/ptp, with the default model only.", "FOLDER|none");

    private readonly Option<string?> _head = Values.Text(
        "--head", "Draft with a head of models/heads, by its name, or with one in a folder, instead of an adapter. The text stays the same.",
        "NAME|FOLDER");

    private readonly Option<int?> _slots = Values.WholeOrNone(
        "--slots", "Tokens drafted per round; 0 = as many as the adapter was trained for. Changes the speed, never the text. "
        + (paying ? "Default: as many as pay, by the measured cost of calls." : "Default: 0."), 0);

    private readonly Option<ulong> _seed = Values.Seed(
        "Seed of u, the auxiliary numbers. Same seed, same text, with every decoder.", 42);

    private readonly Option<double?> _temperature = Values.NumberOrNone(
        "--temperature", "Logits are divided by it; 0 = always the likeliest token. Default: the adapter's, else 0.7.");

    private readonly Option<int?> _topK = Values.WholeOrNone(
        "--top-k", "Keep the k likeliest tokens; 0 = all. Default: the adapter's, else 0.", int.MinValue);

    private readonly Option<double?> _topP = Values.NumberOrNone(
        "--top-p", "Keep the likeliest tokens of this total probability, in (0, 1]. Default: the adapter's, else 0.9.");

    private readonly Option<string?> _rule = Values.Text(
        "--pick-rule", "How u picks a token: another rule, another text of the same law. Default: the adapter's, else inverse-cdf.",
        PickRule.Forms);

    private readonly Option<bool> _otherLaw = Values.Switch(
        "--allow-other-law", "Decode under another law than the adapter was trained for: still exact, only slower.");

    private readonly Option<string?> _weights = WeightsOption.New();
    private readonly Option<string?> _draftWeights = WeightsOption.NewForDrafts();
    private readonly Option<int> _maxNew = Values.Whole("--max-new", "Most tokens to generate.", maxNew, 1);

    /// <summary>Adds all options to a verb.</summary>
    public void AddTo(Command verb)
    {
        foreach (var option in (Option[])[
            _model, _tokenizer, _adapter, _head, _slots, _seed, _temperature, _topK, _topP, _rule, _otherLaw, _weights, _draftWeights, _maxNew])
        {
            verb.Add(option);
        }
    }

    /// <summary>Loads what the options name; all checks are done before any weights are read, where possible.</summary>
    public Decoding Load(Call call, IBackend backend)
    {
        var adapterFolder = ModelChoice.Shelf(call.Get(_adapter), ModelChoice.Ptp, call.Get(_model) is null && call.Get(_head) is null);
        var manifest = adapterFolder is null ? null : AdapterFolder.ReadManifest(adapterFolder);
        var law = new SamplingOptions
        {
            Temperature = call.Get(_temperature) ?? manifest?.Temperature ?? DefaultTemperature,
            TopK = call.Get(_topK) ?? manifest?.TopK ?? 0,
            TopP = call.Get(_topP) ?? manifest?.TopP ?? DefaultTopP,
        }.Validated();
        var rule = call.Get(_rule) is { } name ? PickRule.Parse(name) : null;
        var model = ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend, call.Get(_weights)!);
        var decoding = new Decoding(model, law, call.Get(_seed), call.Get(_slots) ?? 0, call.Get(_maxNew))
        {
            AskedRule = rule,
            AllowsOtherLaw = call.Get(_otherLaw),
            Pays = paying && call.Get(_slots) is null,
            AlwaysDrafts = always,
            DraftsByBytes = call.Get(_draftWeights) == WeightsOption.Int8,
        };
        if (call.Get(_head) is not { } head)
        {
            return adapterFolder is null ? decoding : decoding.With(adapterFolder);
        }

        Guard.Require(adapterFolder is null, "Choose a drafter", "--head and --adapter", "one of them", "Leave one out.");
        Guard.Require(!decoding.DraftsByBytes, "Choose how drafts are computed", "--draft-weights int8 with --head",
            "an adapter: heads read states that the model has computed anyway", "Leave one out.");
        var shelf = new HeadShelf(call, model, null, isDefault: call.Get(_model) is null);
        return decoding with
        {
            Pays = false,
            AdapterFolder = head,
            Head = DraftHeads.Names.Contains(head) && shelf.Find(head) is { } found ? found : HeadFolder.Load(head, model.Model, model.Fingerprint).Head,
        };
    }
}

/// <summary>A model, perhaps an adapter, and the law to decode under.</summary>
internal sealed record Decoding(ModelChoice Model, SamplingOptions Law, ulong Seed, int Slots, int MaxNew)
{
    /// <summary>The folder of the adapter or head, or null.</summary>
    public string? AdapterFolder { get; init; }

    /// <summary>The head, or null.</summary>
    public DraftHead? Head { get; init; }

    /// <summary>True if there is something to draft with.</summary>
    public bool Drafts => Adapter is not null || Head is not null;

    /// <summary>The adapter, or null.</summary>
    public SlotModel? Adapter { get; private init; }

    /// <summary>True if the adapter may be of another law.</summary>
    public bool AllowsOtherLaw { get; init; }

    /// <summary>True if drafts are as long as pays.</summary>
    public bool Pays { get; init; }

    /// <summary>True to draft even where plain calls are faster.</summary>
    public bool AlwaysDrafts { get; init; }

    /// <summary>True if drafts are computed with weights rounded to bytes.</summary>
    public bool DraftsByBytes { get; init; }

    /// <summary>The rule that was asked for, or null.</summary>
    public PickRule? AskedRule { get; init; }

    /// <summary>How u picks a token.</summary>
    public PickRule Rule => AskedRule ?? Adapter?.Rule ?? InverseCdf.Instance;

    /// <summary>Slots that a draft has.</summary>
    public int DraftSlots => Head is not null ? Math.Min(Slots == 0 ? Head.Slots : Slots, Head.Slots) : Adapter is null ? 0 : Slots == 0 ? Adapter.Slots : Slots;

    /// <summary>The same with another adapter, which picks by the same rule as the first.</summary>
    public Decoding With(string folder)
    {
        var manifest = Core.Formats.AdapterFolder.ReadManifest(folder);
        manifest.CheckBase(Model.Fingerprint);
        if (!AllowsOtherLaw)
        {
            try
            {
                manifest.CheckLaw(Law.Temperature, Law.TopK, Law.TopP);
            }
            catch (PtpException e)
            {
                throw new PtpException(e.Asked, e.Received, e.Expected,
                    "Leave the law out to get the adapter's, add --allow-other-law (exact, only slower), or use --decoder ar.", e);
            }
        }

        Guard.Require(Slots <= manifest.Slots, "Read --slots", $"{Slots}", $"at most the adapter's {manifest.Slots}",
            "Use --slots 0 for all of them.");
        var adapter = PtpAdapter.Load(folder, DraftsByBytes ? Model.Twin : Model.Model, Model.Fingerprint, AskedRule ?? Adapter?.Rule);
        if (DraftsByBytes && !adapter.SharesBase)
        {
            adapter.Network.StoreWeights(WeightFormat.Int8);
        }

        return this with { AdapterFolder = folder, Adapter = adapter };
    }

    /// <summary>The decoder that draws one token per call.</summary>
    public IDecoder Autoregressive() => new Autoregressive(Model.Model, Law, Rule);

    /// <summary>The decoder that drafts with the adapter.</summary>
    /// <param name="wrap">Puts something around the drafter, such as a recorder.</param>
    public IDecoder ErrorCorrected(Func<IDrafter, IDrafter>? wrap = null) => ErrorCorrected(wrap, out _);

    /// <summary>The same, with what decides the length of drafts if they shall pay.</summary>
    public IDecoder ErrorCorrected(Func<IDrafter, IDrafter>? wrap, out PayingLength? length)
    {
        if (Head is not null)
        {
            length = null;
            IDrafter chain = new HeadChainDrafter(Head, Rule);
            return new ErrorCorrectedDecoding(Model.Model, wrap?.Invoke(chain) ?? chain, Law, Rule, DraftSlots);
        }

        var adapter = Adapter ?? throw NoAdapter("Decode with PTP");
        var drafter = adapter.NewDrafter();
        length = Length(adapter);
        return new ErrorCorrectedDecoding(
            Model.Model, wrap?.Invoke(drafter) ?? drafter, Law, Rule, DraftSlots, length: length);
    }

    /// <summary>The decoder that verifies and drafts in the same call.</summary>
    /// <param name="budget">Slots of a call; 0 = as many as pay.</param>
    /// <param name="asPrinted">True for the paper's own greedy split.</param>
    public IDecoder PartialQuadratic(int budget, bool asPrinted = false)
    {
        var adapter = Adapter ?? throw NoAdapter("Decode with branches");
        return new PartialQuadraticDecoding(adapter, Law, budget > 0
            ? new PartialQuadraticOptions { Budget = budget, Slots = Slots, AsPrinted = asPrinted }
            : new PartialQuadraticOptions { Budget = 64, Slots = Slots, Costs = Costs(Model.Model), Drafting = DraftCosts(adapter) });
    }

    /// <summary>The decoder that drafts trees.</summary>
    /// <param name="nodes">Tokens of a tree.</param>
    public IDecoder Tree(int nodes)
    {
        if (Head is not null)
        {
            return new TreeDecoding(Model.Model, new HeadTreeDrafter(Head, Rule), Law, Rule, nodes);
        }

        var adapter = Adapter ?? throw NoAdapter("Decode with draft trees");
        Guard.Require(adapter.HasTrees, "Decode with draft trees",
            $"an adapter with {adapter.Reading} slots{(adapter.Flow is null ? "" : " and a flow head")}", "categorical slots, whose laws know alternatives",
            "Distill one with --reading categorical, or use --decoder ptp.");
        return new TreeDecoding(Model.Model, new CategoricalTreeDrafter(adapter), Law, Rule, nodes);
    }

    private static PtpException NoAdapter(string asked) => new(asked, "no adapter", "an adapter of this model",
        "Name one with --adapter FOLDER, make one with 'ptp distill', or use --decoder ar.");

    private PayingLength? Length(SlotModel adapter) => !Pays
        ? null
        : new PayingLength(Costs(Model.Model), DraftCosts(adapter), DraftSlots, adapter.SharesBase && !DraftsByBytes, AlwaysDrafts)
        {
            Lag = adapter.SharesBase ? 0 : 1,
        };

    private CallCosts DraftCosts(SlotModel adapter)
    {
        if (!adapter.SharesBase)
        {
            return Costs(adapter.Network);
        }

        if (AdapterFolder is not null && !DraftsByBytes && CallCostsFile.Find(AdapterFolder, Model.Machine) is { } stored)
        {
            return stored;
        }

        var (rows, contexts, rounds) = Sizes(Model.Model);
        return CallCosts.MeasureDrafts(adapter, [.. rows.Where(r => r > 1)], contexts, rounds);
    }

    private CallCosts Costs(Transformer model)
    {
        if (model == Model.Model && CallCostsFile.Find(Model.Folder, Model.Machine) is { } stored)
        {
            return stored;
        }

        var (rows, contexts, rounds) = Sizes(model);
        return CallCosts.Measure(model, rows, contexts, rounds);
    }

    /// <summary>Just what a draft's length depends on; a large model gets fewer, as each of its calls takes long.</summary>
    private (int[] Rows, int[] Contexts, int Rounds) Sizes(Transformer model)
    {
        var isLarge = model.Config.Parameters > 30_000_000;
        var most = Math.Min(DraftSlots + 2, Math.Max(2, model.Config.MaxContext / 4));
        int[] rows = [.. (isLarge ? (int[])[1, 2, 4, 8] : [1, 2, 3, 4, 5, 6, 8, 10, 12]).Where(r => r < most), most];
        int[] contexts = isLarge ? [most] : [most, model.Config.MaxContext - most];
        return (rows, [.. contexts.Distinct()], isLarge ? 2 : 5);
    }

    /// <summary>u of the text with this index.</summary>
    public Auxiliaries U(int text = 0) =>
        Auxiliaries.FromSeed(Seed + (ulong)text, Rule.NumbersPerToken(Model.Model.Config.VocabularySize));

    /// <summary>When a text ends.</summary>
    public DecodeLimits Limits => new(MaxNew, Model.EndTokens);

    /// <summary>What a reader needs to repeat the run.</summary>
    public JsonObject Describe(JsonObject json, IBackend backend)
    {
        json["model"] = Model.Folder;
        json["adapter"] = AdapterFolder;
        json["device"] = backend.Name;
        json["weights"] = Model.Weights;
        json["draft_weights"] = DraftsByBytes ? WeightsOption.Int8 : "same";
        json["slots"] = DraftSlots;
        json["draft_length"] = !Drafts ? "none" : Pays ? "as pays" : "fixed";
        json["pick_rule"] = Rule.Name;
        json["seed"] = Seed;
        json["temperature"] = Law.Temperature;
        json["top_k"] = Law.TopK;
        json["top_p"] = Law.TopP;
        return json;
    }
}
