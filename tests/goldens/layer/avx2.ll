; k0
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)
declare <8 x float> @llvm.masked.load.v8f32.p0(ptr, <8 x i1>, <8 x float>)
declare void @llvm.masked.store.v8f32.p0(<8 x float>, ptr, <8 x i1>)
define void @tj_777888e685e333ae122fa5753d4c2fd2(ptr %b0, ptr %b1, ptr %b2, ptr %b3, i64 %tid, i64 %nt) nounwind "prefer-vector-width"="256" "min-legal-vector-width"="256" {
entry:
  %n1 = mul i64 %tid, 2
  %n2 = add i64 %n1, 2
  %n3 = udiv i64 %n1, %nt
  %n4 = udiv i64 %n2, %nt
  br label %pre5
pre5:
  %n11 = icmp ult i64 %n3, %n4
  br i1 %n11, label %head6, label %done8
head6:
  %p9 = phi i64 [ %n3, %pre5 ], [ %p10, %latch7 ]
  %n12 = urem i64 %p9, 2
  %n13 = udiv i64 %p9, 2
  %n14 = icmp ult i64 %n12, 1
  br i1 %n14, label %then15, label %else16
then15:
  %n18 = mul i64 %n12, 16
  %a19 = getelementptr float, ptr %b2, i64 %n18
  %a42 = getelementptr float, ptr %b1, i64 %n18
  %a120 = getelementptr float, ptr %b3, i64 %n18
  call void @llvm.prefetch.p0(ptr %a19, i32 0, i32 3, i32 1)
  br label %pre20
pre20:
  br label %head21
head21:
  %r024 = phi i64 [ 0, %pre20 ], [ %r025, %latch22 ]
  %c26 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v46, %latch22 ]
  %c27 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v49, %latch22 ]
  %c28 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v54, %latch22 ]
  %c29 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v55, %latch22 ]
  %c30 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v60, %latch22 ]
  %c31 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v61, %latch22 ]
  %c32 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v66, %latch22 ]
  %c33 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v67, %latch22 ]
  %c34 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v72, %latch22 ]
  %c35 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v73, %latch22 ]
  %c36 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v78, %latch22 ]
  %c37 = phi <8 x float> [ splat (float 0x0000000000000000), %pre20 ], [ %v79, %latch22 ]
  %a38 = getelementptr float, ptr %b0, i64 %r024
  %a43 = mul i64 %r024, 19
  %a44 = getelementptr float, ptr %a42, i64 %a43
  %v39 = load float, ptr %a38, align 4
  %v40 = insertelement <8 x float> poison, float %v39, i64 0
  %v41 = shufflevector <8 x float> %v40, <8 x float> poison, <8 x i32> zeroinitializer
  %v45 = load <8 x float>, ptr %a44, align 4
  %v46 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v41, <8 x float> %v45, <8 x float> %c26)
  %a47 = getelementptr float, ptr %a44, i64 8
  %v48 = load <8 x float>, ptr %a47, align 4
  %v49 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v41, <8 x float> %v48, <8 x float> %c27)
  %a50 = getelementptr float, ptr %a38, i64 20
  %v51 = load float, ptr %a50, align 4
  %v52 = insertelement <8 x float> poison, float %v51, i64 0
  %v53 = shufflevector <8 x float> %v52, <8 x float> poison, <8 x i32> zeroinitializer
  %v54 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v53, <8 x float> %v45, <8 x float> %c28)
  %v55 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v53, <8 x float> %v48, <8 x float> %c29)
  %a56 = getelementptr float, ptr %a38, i64 40
  %v57 = load float, ptr %a56, align 4
  %v58 = insertelement <8 x float> poison, float %v57, i64 0
  %v59 = shufflevector <8 x float> %v58, <8 x float> poison, <8 x i32> zeroinitializer
  %v60 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v59, <8 x float> %v45, <8 x float> %c30)
  %v61 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v59, <8 x float> %v48, <8 x float> %c31)
  %a62 = getelementptr float, ptr %a38, i64 60
  %v63 = load float, ptr %a62, align 4
  %v64 = insertelement <8 x float> poison, float %v63, i64 0
  %v65 = shufflevector <8 x float> %v64, <8 x float> poison, <8 x i32> zeroinitializer
  %v66 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v65, <8 x float> %v45, <8 x float> %c32)
  %v67 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v65, <8 x float> %v48, <8 x float> %c33)
  %a68 = getelementptr float, ptr %a38, i64 80
  %v69 = load float, ptr %a68, align 4
  %v70 = insertelement <8 x float> poison, float %v69, i64 0
  %v71 = shufflevector <8 x float> %v70, <8 x float> poison, <8 x i32> zeroinitializer
  %v72 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v71, <8 x float> %v45, <8 x float> %c34)
  %v73 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v71, <8 x float> %v48, <8 x float> %c35)
  %a74 = getelementptr float, ptr %a38, i64 100
  %v75 = load float, ptr %a74, align 4
  %v76 = insertelement <8 x float> poison, float %v75, i64 0
  %v77 = shufflevector <8 x float> %v76, <8 x float> poison, <8 x i32> zeroinitializer
  %v78 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v77, <8 x float> %v45, <8 x float> %c36)
  %v79 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v77, <8 x float> %v48, <8 x float> %c37)
  br label %latch22
latch22:
  %r025 = add nuw nsw i64 %r024, 1
  %n80 = icmp ult i64 %r025, 20
  br i1 %n80, label %head21, label %done23
done23:
  %v81 = load <8 x float>, ptr %a19, align 4
  %a82 = getelementptr float, ptr %a19, i64 8
  %v83 = load <8 x float>, ptr %a82, align 4
  %v84 = fadd <8 x float> %v46, %v81
  %v85 = fadd <8 x float> %v49, %v83
  %v86 = fadd <8 x float> %v54, %v81
  %v87 = fadd <8 x float> %v55, %v83
  %v88 = fadd <8 x float> %v60, %v81
  %v89 = fadd <8 x float> %v61, %v83
  %v90 = fadd <8 x float> %v66, %v81
  %v91 = fadd <8 x float> %v67, %v83
  %v92 = fadd <8 x float> %v72, %v81
  %v93 = fadd <8 x float> %v73, %v83
  %v94 = fadd <8 x float> %v78, %v81
  %v95 = fadd <8 x float> %v79, %v83
  %v96 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v84
  %v97 = select <8 x i1> %v96, <8 x float> splat (float 0x0000000000000000), <8 x float> %v84
  %v98 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v85
  %v99 = select <8 x i1> %v98, <8 x float> splat (float 0x0000000000000000), <8 x float> %v85
  %v100 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v86
  %v101 = select <8 x i1> %v100, <8 x float> splat (float 0x0000000000000000), <8 x float> %v86
  %v102 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v87
  %v103 = select <8 x i1> %v102, <8 x float> splat (float 0x0000000000000000), <8 x float> %v87
  %v104 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v88
  %v105 = select <8 x i1> %v104, <8 x float> splat (float 0x0000000000000000), <8 x float> %v88
  %v106 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v89
  %v107 = select <8 x i1> %v106, <8 x float> splat (float 0x0000000000000000), <8 x float> %v89
  %v108 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v90
  %v109 = select <8 x i1> %v108, <8 x float> splat (float 0x0000000000000000), <8 x float> %v90
  %v110 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v91
  %v111 = select <8 x i1> %v110, <8 x float> splat (float 0x0000000000000000), <8 x float> %v91
  %v112 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v92
  %v113 = select <8 x i1> %v112, <8 x float> splat (float 0x0000000000000000), <8 x float> %v92
  %v114 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v93
  %v115 = select <8 x i1> %v114, <8 x float> splat (float 0x0000000000000000), <8 x float> %v93
  %v116 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v94
  %v117 = select <8 x i1> %v116, <8 x float> splat (float 0x0000000000000000), <8 x float> %v94
  %v118 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v95
  %v119 = select <8 x i1> %v118, <8 x float> splat (float 0x0000000000000000), <8 x float> %v95
  store <8 x float> %v97, ptr %a120, align 4
  %a121 = getelementptr float, ptr %a120, i64 8
  store <8 x float> %v99, ptr %a121, align 4
  %a122 = getelementptr float, ptr %a120, i64 19
  store <8 x float> %v101, ptr %a122, align 4
  %a123 = getelementptr float, ptr %a120, i64 27
  store <8 x float> %v103, ptr %a123, align 4
  %a124 = getelementptr float, ptr %a120, i64 38
  store <8 x float> %v105, ptr %a124, align 4
  %a125 = getelementptr float, ptr %a120, i64 46
  store <8 x float> %v107, ptr %a125, align 4
  %a126 = getelementptr float, ptr %a120, i64 57
  store <8 x float> %v109, ptr %a126, align 4
  %a127 = getelementptr float, ptr %a120, i64 65
  store <8 x float> %v111, ptr %a127, align 4
  %a128 = getelementptr float, ptr %a120, i64 76
  store <8 x float> %v113, ptr %a128, align 4
  %a129 = getelementptr float, ptr %a120, i64 84
  store <8 x float> %v115, ptr %a129, align 4
  %a130 = getelementptr float, ptr %a120, i64 95
  store <8 x float> %v117, ptr %a130, align 4
  %a131 = getelementptr float, ptr %a120, i64 103
  store <8 x float> %v119, ptr %a131, align 4
  br label %done17
else16:
  %a132 = getelementptr float, ptr %b2, i64 16
  call void @llvm.prefetch.p0(ptr %a132, i32 0, i32 3, i32 1)
  br label %pre133
pre133:
  br label %head134
head134:
  %r0137 = phi i64 [ 0, %pre133 ], [ %r0138, %latch135 ]
  %c139 = phi <8 x float> [ splat (float 0x0000000000000000), %pre133 ], [ %v153, %latch135 ]
  %c140 = phi <8 x float> [ splat (float 0x0000000000000000), %pre133 ], [ %v158, %latch135 ]
  %c141 = phi <8 x float> [ splat (float 0x0000000000000000), %pre133 ], [ %v163, %latch135 ]
  %c142 = phi <8 x float> [ splat (float 0x0000000000000000), %pre133 ], [ %v168, %latch135 ]
  %c143 = phi <8 x float> [ splat (float 0x0000000000000000), %pre133 ], [ %v173, %latch135 ]
  %c144 = phi <8 x float> [ splat (float 0x0000000000000000), %pre133 ], [ %v178, %latch135 ]
  %a145 = getelementptr float, ptr %b0, i64 %r0137
  %a149 = mul i64 %r0137, 19
  %a150 = getelementptr float, ptr %b1, i64 %a149
  %v146 = load float, ptr %a145, align 4
  %v147 = insertelement <8 x float> poison, float %v146, i64 0
  %v148 = shufflevector <8 x float> %v147, <8 x float> poison, <8 x i32> zeroinitializer
  %a151 = getelementptr float, ptr %a150, i64 16
  %v152 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %a151, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  %v153 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v148, <8 x float> %v152, <8 x float> %c139)
  %a154 = getelementptr float, ptr %a145, i64 20
  %v155 = load float, ptr %a154, align 4
  %v156 = insertelement <8 x float> poison, float %v155, i64 0
  %v157 = shufflevector <8 x float> %v156, <8 x float> poison, <8 x i32> zeroinitializer
  %v158 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v157, <8 x float> %v152, <8 x float> %c140)
  %a159 = getelementptr float, ptr %a145, i64 40
  %v160 = load float, ptr %a159, align 4
  %v161 = insertelement <8 x float> poison, float %v160, i64 0
  %v162 = shufflevector <8 x float> %v161, <8 x float> poison, <8 x i32> zeroinitializer
  %v163 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v162, <8 x float> %v152, <8 x float> %c141)
  %a164 = getelementptr float, ptr %a145, i64 60
  %v165 = load float, ptr %a164, align 4
  %v166 = insertelement <8 x float> poison, float %v165, i64 0
  %v167 = shufflevector <8 x float> %v166, <8 x float> poison, <8 x i32> zeroinitializer
  %v168 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v167, <8 x float> %v152, <8 x float> %c142)
  %a169 = getelementptr float, ptr %a145, i64 80
  %v170 = load float, ptr %a169, align 4
  %v171 = insertelement <8 x float> poison, float %v170, i64 0
  %v172 = shufflevector <8 x float> %v171, <8 x float> poison, <8 x i32> zeroinitializer
  %v173 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v172, <8 x float> %v152, <8 x float> %c143)
  %a174 = getelementptr float, ptr %a145, i64 100
  %v175 = load float, ptr %a174, align 4
  %v176 = insertelement <8 x float> poison, float %v175, i64 0
  %v177 = shufflevector <8 x float> %v176, <8 x float> poison, <8 x i32> zeroinitializer
  %v178 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v177, <8 x float> %v152, <8 x float> %c144)
  br label %latch135
latch135:
  %r0138 = add nuw nsw i64 %r0137, 1
  %n179 = icmp ult i64 %r0138, 20
  br i1 %n179, label %head134, label %done136
done136:
  %v180 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %a132, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  %v181 = fadd <8 x float> %v153, %v180
  %v182 = fadd <8 x float> %v158, %v180
  %v183 = fadd <8 x float> %v163, %v180
  %v184 = fadd <8 x float> %v168, %v180
  %v185 = fadd <8 x float> %v173, %v180
  %v186 = fadd <8 x float> %v178, %v180
  %v187 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v181
  %v188 = select <8 x i1> %v187, <8 x float> splat (float 0x0000000000000000), <8 x float> %v181
  %v189 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v182
  %v190 = select <8 x i1> %v189, <8 x float> splat (float 0x0000000000000000), <8 x float> %v182
  %v191 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v183
  %v192 = select <8 x i1> %v191, <8 x float> splat (float 0x0000000000000000), <8 x float> %v183
  %v193 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v184
  %v194 = select <8 x i1> %v193, <8 x float> splat (float 0x0000000000000000), <8 x float> %v184
  %v195 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v185
  %v196 = select <8 x i1> %v195, <8 x float> splat (float 0x0000000000000000), <8 x float> %v185
  %v197 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v186
  %v198 = select <8 x i1> %v197, <8 x float> splat (float 0x0000000000000000), <8 x float> %v186
  %a199 = getelementptr float, ptr %b3, i64 16
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v188, ptr align 4 %a199, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a200 = getelementptr float, ptr %b3, i64 35
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v190, ptr align 4 %a200, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a201 = getelementptr float, ptr %b3, i64 54
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v192, ptr align 4 %a201, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a202 = getelementptr float, ptr %b3, i64 73
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v194, ptr align 4 %a202, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a203 = getelementptr float, ptr %b3, i64 92
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v196, ptr align 4 %a203, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %a204 = getelementptr float, ptr %b3, i64 111
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v198, ptr align 4 %a204, <8 x i1> <i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false, i1 false>)
  br label %done17
done17:
  br label %latch7
latch7:
  %p10 = add nuw nsw i64 %p9, 1
  %n205 = icmp ult i64 %p10, %n4
  br i1 %n205, label %head6, label %done8
done8:
  ret void
}

declare void @tj_777888e685e333ae122fa5753d4c2fd2(ptr, ptr, ptr, ptr, i64, i64)
declare void @tj_barrier(ptr, i64)
define void @tj_program(ptr %table, i64 %tid, i64 %nt, ptr %team) nounwind {
entry:
  %first = icmp eq i64 %tid, 0
  %input_0.at = getelementptr ptr, ptr %table, i64 0
  %input_0 = load ptr, ptr %input_0.at
  %input_1.at = getelementptr ptr, ptr %table, i64 1
  %input_1 = load ptr, ptr %input_1.at
  %input_2.at = getelementptr ptr, ptr %table, i64 2
  %input_2 = load ptr, ptr %input_2.at
  %output_0.at = getelementptr ptr, ptr %table, i64 3
  %output_0 = load ptr, ptr %output_0.at
  call void @tj_777888e685e333ae122fa5753d4c2fd2(ptr %input_0, ptr %input_1, ptr %input_2, ptr %output_0, i64 %tid, i64 %nt)
  ret void
}
