// A verb of ptp: its options, its examples for --help, and what it does.
// One class per verb; Call carries what one run of it was given.
// Not here: errors and exit codes, which are Cli's.

using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Tensors;
using Ptp.Gpu;

namespace Ptp.Reference.Commands;

/// <summary>Options that every verb has.</summary>
internal sealed class CommonOptions
{
    /// <summary>The device that needs no name.</summary>
    public const string Cpu = "cpu";

    /// <summary>The precision that every device has.</summary>
    public const string Single = "f32";

    public Option<bool> Json { get; } = new("--json")
    {
        Description = "Write one JSON value to standard output instead of text. Progress and notes stay on standard error.",
        Recursive = true,
    };

    public Option<int> Threads { get; } = WithRecursion(Values.Whole(
        "--threads", "CPU threads; 0 = PTP_THREADS if set, else all cores. It changes the speed, never a result.", 0, 0, 1024));

    public Option<string?> Device { get; } = WithRecursion(Values.Word(
        "--device",
        "Where to compute: cpu; cuda or opencl through ILGPU; gpu = the first of these two that is there; simulator = ILGPU's own, which "
        + "checks kernels slowly. Text of a seed is the same for every decoder on one device, not from one device to another.",
        [Cpu, .. GpuDevices.Words.Keys], Cpu));

    public Option<string?> Precision { get; } = WithRecursion(Values.Word(
        "--precision",
        "What products multiply on a device: f32, or operands rounded to tf32 (ten bits behind the point) or bf16 (seven, twice as fast), on tensor "
        + "cores where there are (CUDA, sm_80), sums in F32. The text stays the same for every decoder; see --weights for the CPU.",
        [Single, "tf32", "bf16"], Single));

    private static Option<T> WithRecursion<T>(Option<T> option)
    {
        option.Recursive = true;
        return option;
    }
}

/// <summary>One run of a verb.</summary>
/// <param name="Parsed">What was typed.</param>
/// <param name="Out">Where it writes.</param>
/// <param name="Common">The options of every verb.</param>
internal sealed record Call(ParseResult Parsed, Output Out, CommonOptions Common)
{
    /// <summary>Set by Ctrl-C.</summary>
    public CancellationToken Cancellation => Out.Host.Cancellation;

    /// <summary>The value of an option, or its default.</summary>
    public T Get<T>(Option<T> option) => Parsed.GetValue(option)!;

    /// <summary>The CPU with as many threads as asked.</summary>
    public CpuBackend Cpu() => new(Get(Common.Threads));

    /// <summary>The device that was asked for.</summary>
    /// <exception cref="PtpException">There is no such device.</exception>
    public IBackend Backend()
    {
        var (device, word) = (Get(Common.Device)!, Get(Common.Precision)!);
        Guard.Require(word == CommonOptions.Single || device != CommonOptions.Cpu, "Choose a precision", $"--precision {word} on the CPU", "a device",
            "Use --weights bf16 or int8 on the CPU.");
        var precision = word switch { "tf32" => ProductPrecision.Tf32, "bf16" => ProductPrecision.BFloat16, _ => ProductPrecision.Single };
        return device == CommonOptions.Cpu ? Cpu() : new GpuBackend(GpuDevices.Words[device]) { Precision = precision };
    }
}

/// <summary>A verb.</summary>
internal abstract class Verb : Command
{
    protected Verb(string name, string description, params string[] examples)
        : base(name, description) => Examples = examples;

    /// <summary>Commands that work as they stand, with a remark after "#".</summary>
    public IReadOnlyList<string> Examples { get; }

    /// <summary>Makes the verb do its work when it is called.</summary>
    public Verb On(CliHost host, CommonOptions common)
    {
        SetAction(parsed => Execute(new Call(parsed, new Output(host, parsed.GetValue(common.Json)), common)));
        return this;
    }

    /// <summary>Does the work and returns the exit code.</summary>
    protected abstract int Execute(Call call);
}

/// <summary>--help with examples under it.</summary>
internal sealed class TeachingHelp(HelpAction help) : SynchronousCommandLineAction
{
    private const int Width = 100;

    /// <inheritdoc/>
    public override bool ClearsParseErrors => true;

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        help.MaxWidth = Width;
        var code = help.Invoke(parseResult);
        if (parseResult.CommandResult.Command is Verb { Examples.Count: > 0 } verb)
        {
            var output = parseResult.InvocationConfiguration.Output;
            output.WriteLine("Examples:");
            foreach (var example in verb.Examples)
            {
                output.WriteLine("  " + example);
            }

            output.WriteLine();
        }

        return code;
    }
}
