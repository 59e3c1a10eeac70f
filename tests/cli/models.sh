# models: list and check; a damaged or missing network file is found by models, doctor and run.
facewash models | sed -E 's#^(descriptions|network files): .*#\1#; s#(there|intact|damaged) .*/#\1 #' |
    grep -vE 'mtcnn|models-extra' # which may be there or not
facewash models check | grep -v mtcnn | grep -cE '(embed|detect) +intact'
folder=$(facewash models | sed -n 's/^network files: //p')
cp -r "$folder" models && chmod -R u+w models
printf x | dd of=models/mobilefacenet.onnx bs=1 seek=5000 conv=notrunc status=none
rm models/retinaface_mnet025.onnx
export FACEWASH_MODELS=$PWD/models
facewash models check 2>&1 | sed -E 's/[0-9a-f]{64}/SHA256/g; s#^(descriptions): .*#\1#' | grep -vE 'mtcnn|models-extra'
echo "-> ${PIPESTATUS[0]}"
facewash doctor 2>&1 | grep -E '^(FAIL|facewash: error)' | sed -E 's/[0-9a-f]{64}/SHA256/g'
mkdir src && cp "$FIXTURES/odd/links/real.png" src
facewash run --input src --work w; echo "-> $?"
FACEWASH_SHARE=nowhere facewash models; echo "-> $?"
