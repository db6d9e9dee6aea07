// Matrix products: squares and the shapes of training (forward, dX, dW) on every kernel path, calls of few rows with packed weights,
// one row against the read stream. y = x W^T, x [R, K], W [N, K]; 2 R K N operations, floor: fused multiply-adds at their peak.
// Refuses: peers that compute something else; the first results are compared. Packing of weights is not timed, of gradients it is.

using Ptp.Bench.Peers;
using Ptp.Core.Cpu;
using Ptp.Core.Tensors;

namespace Ptp.Bench.Rows;

/// <summary>Rows about matrix products.</summary>
internal static unsafe class ProductRows
{
    private const string Squares = "Matrix products";
    private const string Narrow = "Few rows, packed weights";
    private const string One = "One row";

    /// <summary>Products with R = K = N, weights packed once.</summary>
    public static IEnumerable<Row> Square(Bench bench) =>
        bench.Plan.Of<int[]>([32], [256, 512, 1024, 2048], [256, 512, 1024, 2048]).SelectMany(n => Forward(bench, n, n, n, $"product {n} x {n} x {n}"));

    /// <summary>The products of a training step of the 4.2M and 34M models: forward, dX = dY W, dW = dY^T x.</summary>
    public static IEnumerable<Row> Training(Bench bench)
    {
        (int R, int K, int N)[] shapes = bench.Plan.Of<(int, int, int)[]>(
            [(16, 16, 32)], [(2048, 256, 1024), (2048, 512, 2048)],
            [(2048, 256, 256), (2048, 256, 1024), (2048, 1024, 256), (2048, 512, 512), (2048, 512, 2048), (2048, 2048, 512)]);
        return shapes.SelectMany(s => Forward(bench, s.R, s.K, s.N, $"training forward {s.R} x {s.K} x {s.N}").Concat(Backward(bench, s.R, s.K, s.N)));
    }

    /// <summary>Calls of few rows.</summary>
    public static IEnumerable<Row> FewRows(Bench bench)
    {
        (int K, int N)[] shapes = bench.Plan.Of<(int, int)[]>(
            [(32, 64)], [(512, 2048), (2048, 5632)], [(512, 2048), (1024, 4096), (2048, 5632)]);
        int[] counts = bench.Plan.Of<int[]>([1, 3], [1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 64]);
        foreach (var (k, n) in shapes)
        {
            var (w, packed) = Weights(bench, k, n);
            foreach (var rows in counts)
            {
                var (x, y) = (bench.Random(rows, k, "x"), bench.Backend.Allocate(rows, n));
                foreach (var row in Contest.Run(bench.Plan, Narrow, $"few rows {rows} x {k} x {n}", Unit.Gigaflops, 2e-9 * rows * k * n,
                    s => Clock.Time(() => bench.Backend.MatMul(x, packed, false, y), s),
                    [Blas(bench, x, w, y), Onnx(bench, x, w)], () => NarrowFloor(bench, rows, k, n)))
                {
                    yield return row;
                }

                bench.Onnx?.Release();
            }
        }
    }

    /// <summary>One row, in the cache and in memory, in bytes of weights per second.</summary>
    public static IEnumerable<Row> OneRow(Bench bench)
    {
        (int K, int N, string Where)[] shapes = bench.Plan.Of<(int, int, string)[]>(
            [(32, 64, "in cache")], [(512, 1536, "in cache"), (4096, 16384, "in memory")], [(512, 1536, "in cache"), (4096, 65536, "in memory")]);
        foreach (var (k, n, where) in shapes)
        {
            var (w, packed) = Weights(bench, k, n);
            var (x, y) = (bench.Random(1, k, "x"), bench.Backend.Allocate(1, n));
            var bytes = 4L * k * n;
            foreach (var row in Contest.Run(bench.Plan, One, $"one row, F32, {where}, {bytes / 1e6:F0} MB", Unit.Gigabytes, 1e-9 * bytes,
                s => Clock.Time(() => bench.Backend.MatMul(x, packed, false, y), s), [Blas(bench, x, w, y)], () => bench.Stream(bytes)))
            {
                yield return row;
            }
        }
    }

    private static IEnumerable<Row> Forward(Bench bench, int r, int k, int n, string name)
    {
        var (w, _) = Weights(bench, k, n);
        var (x, y) = (bench.Random(r, k, "x"), bench.Backend.Allocate(r, n));
        return OnPaths(bench, name, 2e-9 * r * k * n, () =>
        {
            var packed = bench.Backend.Pack(w, false, null);
            return () => bench.Backend.MatMul(x, packed, false, y);
        }, [Blas(bench, x, w, y), Onnx(bench, x, w), bench.AskTorch($"forward {r} {k} {n}")]);
    }

    private static IEnumerable<Row> Backward(Bench bench, int r, int k, int n)
    {
        var (w, _) = Weights(bench, k, n);
        var (x, dY) = (bench.Random(r, k, "x"), bench.Random(r, n, "dY"));
        var (dX, dW) = (bench.Backend.Allocate(r, k), bench.Backend.Allocate(n, k));
        return OnPaths(bench, $"training dX {r} x {k} x {n}", 2e-9 * r * k * n, () =>
        {
            var packed = bench.Backend.Pack(w, true, null);
            return () => bench.Backend.MatMulBackwardInput(dY, packed, false, dX);
        }, [bench.AskBlas(b => b.Multiply(dY.Pointer, false, w.Pointer, false, dX.Pointer, r, k, n)), bench.AskTorch($"input_gradient {r} {k} {n}")])
            .Concat(OnPaths(bench, $"training dW {r} x {k} x {n}", 2e-9 * r * k * n, () => () => bench.Backend.MatMulBackwardWeight(dY, x, dW),
                [bench.AskBlas(b => b.Multiply(dY.Pointer, true, x.Pointer, false, dW.Pointer, n, k, r)), bench.AskTorch($"weight_gradient {r} {k} {n}")]));
    }

    /// <summary>The first path meets all peers, the others the first peer.</summary>
    private static IEnumerable<Row> OnPaths(Bench bench, string name, double work, Func<Action> body, Contestant[] peers)
    {
        foreach (var path in KernelPath.All)
        {
            if (!path.IsHere)
            {
                yield return new Row(Squares, $"{name}, {path.Name}", null, Unit.Gigaflops, peers[0].Name);
                continue;
            }

            MatMul.Width = path.Width;
            var run = body();
            var isFirst = path == KernelPath.All.First(p => p.IsHere);
            foreach (var row in Contest.Run(bench.Plan, Squares, $"{name}, {path.Name}", Unit.Gigaflops, work,
                s => Clock.Time(run, s), isFirst ? peers : peers[..1], () => bench.Peak(path.Bits)))
            {
                yield return row;
            }
        }

        bench.Leave();
        bench.Onnx?.Release();
    }

    private static (Tensor Weight, PackedMatrix Packed) Weights(Bench bench, int k, int n)
    {
        var w = bench.Random(n, k, "w");
        return (w, bench.Backend.Pack(w, false, null));
    }

    /// <summary>All operations at the peak, or all weights read once, whichever takes longer.</summary>
    private static double NarrowFloor(Bench bench, int rows, int k, int n) =>
        Math.Min(bench.Peak(), bench.Stream(4L * k * n) * rows / 2);

    /// <summary>OpenBLAS on x W^T; one row goes to its product of a matrix and a vector.</summary>
    private static Contestant Blas(Bench bench, Tensor x, Tensor w, Tensor y)
    {
        var theirs = bench.Backend.Allocate(y.Rows, y.Columns);
        var isChecked = false;
        return bench.AskBlas(blas =>
        {
            if (x.Rows == 1)
            {
                blas.Multiply(w.Pointer, x.Pointer, theirs.Pointer, w.Rows, w.Columns);
            }
            else
            {
                blas.Multiply(x.Pointer, false, w.Pointer, true, theirs.Pointer, x.Rows, w.Rows, w.Columns);
            }

            if (!isChecked)
            {
                bench.Backend.MatMul(x, bench.Backend.Pack(w, false, null), false, y);
                Bench.Agree("OpenBLAS", y.Span, theirs.Span);
                isChecked = true;
            }
        });
    }

    /// <summary>ONNX Runtime on x W^T, the weight a constant [K, N] that it may pack as it likes.</summary>
    private static Contestant Onnx(Bench bench, Tensor x, Tensor w) => bench.AskOnnx(onnx =>
    {
        var transposed = new float[w.Length];
        for (var row = 0; row < w.Rows; row++)
        {
            for (var column = 0; column < w.Columns; column++)
            {
                transposed[column * w.Rows + row] = w.Span[row * w.Columns + column];
            }
        }

        var (input, weight) = (new OnnxTensor("x", [x.Rows, x.Columns]), new OnnxTensor("w", [w.Columns, w.Rows], transposed));
        var (output, values) = (new OnnxTensor("y", [x.Rows, w.Rows]), new float[x.Rows * w.Rows]);
        var run = onnx.Session(
            OnnxGraph.Model([input, weight], output, new OnnxNode("MatMul", ["x", "w"], "y")), [(input, x.Span.ToArray())], (output, values));
        run();
        var y = bench.Backend.Allocate(x.Rows, w.Rows);
        bench.Backend.MatMul(x, bench.Backend.Pack(w, false, null), false, y);
        Bench.Agree("ONNX Runtime", y.Span, values);
        return run;
    });
}
