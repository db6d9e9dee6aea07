// Loads the model that comes with the repository and streams text, several tokens per call. Run it from the root:
//   dotnet run samples/01-stream-text.cs -- "Once upon a time"
// The first token of a line is the begin-of-text token, which the model was trained to expect.
#:project ../Ptp.Core/Ptp.Core.csproj
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Paper;
using Ptp.Core.Text;
using Ptp.Core.Training;

var files = ModelFolder.Read("models/base");
var model = ModelCheckpoint.FromFiles(files, new CpuBackend());
var ptp = PtpAdapter.Load("models/ptp", model, ModelFolder.Fingerprint(files));
var tokenizer = Tokenizer.Load("models/base");
var decoder = new ErrorCorrectedDecoding(model, ptp.NewDrafter(), ptp.Law, ptp.Rule);
var (prompt, text) = (args.FirstOrDefault("Once upon a time"), tokenizer.CreateStreamingDecoder(atStart: false));
Console.Write(prompt);
var result = decoder.Decode([model.Config.BeginToken!.Value, .. tokenizer.Encode(prompt)], Auxiliaries.FromSeed(42, ptp.NumbersPerToken),
    new DecodeLimits(200, model.Config.EndTokens), round => round.Tokens.ToArray().All(t => Print(text.Append(t))));
Console.WriteLine($"\n[{result.Stats.Tokens} tokens in {result.Stats.Calls} calls]");

static bool Print(string piece)
{
    Console.Write(piece);
    return true;
}
